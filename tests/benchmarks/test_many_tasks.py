"""Scores of each task of runs that are there already."""

import re

import numpy as np
import pytest
import yaml

from benchmarks.many_tasks import RECIPE, main, scores_of
from keras_transformer import Tokenizer, Translator, create_model
from keras_transformer.data.phrasebook import phrasebook

pytest.importorskip("sklearn", reason="the digits are those of scikit-learn")
SIZES = {"num_layers": 1, "d_model": 8, "num_heads": 2, "d_ff": 11}


class Remembers:
    """Translates the sentences that it has seen to what it was told."""

    def __init__(self, answers, model):
        self.answers, self.model = answers, model

    def translate(self, texts):
        from keras_transformer import Translation

        return [Translation(self.answers.get(text, "?"), 0.0) for text in texts]


@pytest.fixture
def runs(tmp_path):
    text = [side for pair in phrasebook().held_out["everyday"][:100] for side in pair]
    tokenizer = Tokenizer.train(text, 330, tags=["fr", "en"])
    options = {"body": "attention", "num_experts": 0, "num_commands": 2, "num_classes": 10}
    model = create_model("multimodel", options, vocabulary_size=330, **SIZES)
    for name in ("all_4", "without_digits_4"):
        Translator(model, tokenizer, max_source_length=32).save(tmp_path / name)
    return tmp_path


@pytest.mark.slow
def test_each_direction_and_the_images_are_scored(runs, monkeypatch):
    settings = yaml.safe_load(RECIPE.read_text())
    (runs / "all_4.yaml").write_text(yaml.safe_dump(settings))
    model = Translator.load(runs / "all_4").model
    (one, other) = phrasebook().held_out["everyday"][:2]
    answers = {f">>fr<< {one[0]}": one[1], f">>en<< {one[1]}": one[0], f">>en<< {other[1]}": "?"}
    answers[f">>fr<< {other[0]}"] = other[1]
    monkeypatch.setattr(Translator, "load", lambda run: Remembers(answers, model))
    scores = scores_of(runs / "all_4", 2)
    assert (scores["to French"], scores["to English"]) == (1.0, 0.5)

    def always_three(images):
        return np.eye(10)[np.full(len(images), 3)]

    monkeypatch.setattr(model, "classify", always_three)
    assert scores_of(runs / "all_4", 2)["digits"] == pytest.approx(0.1, abs=0.03)


@pytest.mark.slow
def test_finished_runs_are_compared(runs, capsys):
    main(["--output", str(runs), "--seeds", "4", "--sentences", "3"])
    printed = capsys.readouterr().out
    assert printed.count("is finished") == 2
    assert re.search(r"\| all \| 4 \| [\d.]+% \| [\d.]+% \| [\d.]+% \|", printed)
    assert re.search(r"\| without digits \| mean \| [\d.]+% \| [\d.]+% \|  \|", printed)
    with pytest.raises(SystemExit, match="the recipe has no task music"):
        main(["--output", str(runs), "--without", "music"])
