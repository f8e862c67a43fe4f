"""Models that find words from latents beside their teacher, with runs that are there already."""

import json
import re

import pytest
import yaml

from benchmarks.latents import main
from keras_transformer import Tokenizer, Transformer, Translator, create_model
from tests.translation.conftest import sentences
from tests.weights import randomize

SIZES = {"num_layers": 1, "d_model": 8, "num_heads": 2, "d_ff": 11}


@pytest.fixture
def folder(tmp_path):
    """Texts, a recipe, and the three runs."""
    lines = sentences(11, seed=3, longest=5)
    for name in ("train", "validation", "test"):
        for side in ("source", "target"):
            (tmp_path / f"{name}.{side}").write_text("".join(f"{line}\n" for line in lines))
    recipe = {"corpus": "files"}
    for name in ("train", "validation"):
        recipe |= {f"{name}_{side}": f"{name}.{side}" for side in ("source", "target")}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    tokenizer = Tokenizer.train(lines * 20, 290, model_type="bpe")
    for name in ("teacher", "latent", "latent_taught"):
        model = Transformer(vocabulary_size=290, **SIZES)
        if name != "teacher":
            model = create_model("latent", {"bits": 4}, vocabulary_size=290, **SIZES)
        model.build()
        Translator(randomize(model), tokenizer).save(tmp_path / "out" / name)
    return tmp_path


@pytest.mark.slow
def test_all_systems_are_compared(folder, capsys):
    options = ["--output", str(folder / "out"), "--config", str(folder / "recipe.yaml")]
    options += ["--data-folder", str(folder), "--test-source", "test.source"]
    options += ["--test-target", "test.target", "--candidates", "3", "--single", "2"]
    main([*options, "--repeats", "1", "--epochs", "3", "--latent-epochs", "5", "--norm", "pre"])
    printed = capsys.readouterr().out
    assert printed.count("is finished") == 3
    assert len((folder / "out" / "teacher.target").read_text().splitlines()) == 11
    taught = yaml.safe_load((folder / "out" / "latent_taught.yaml").read_text())
    assert taught["train_target"] == str(folder / "out" / "teacher.target")
    assert taught["train_source"] == str(folder / "train.source")
    assert (taught["epochs"], taught["norm"]) == (5, "pre")
    teacher = yaml.safe_load((folder / "out" / "teacher.yaml").read_text())
    assert (teacher["epochs"], "norm" in teacher) == (3, False)
    results = json.loads((folder / "out" / "results.json").read_text())
    assert list(results) == [
        "teacher, greedy", "teacher, 4 beams", "latent", "latent, 3 rescored", "latent, taught",
        "latent, taught, 3 rescored",
    ]  # fmt: skip
    assert all(one["seconds"] > 0 for one in results.values())
    for part in ("encoder", "latents", "words"):
        assert re.search(rf"\| {part} \| -?\d+\.\d\d \|", printed)


def test_files_are_given_together(capsys):
    with pytest.raises(SystemExit):
        main(["--output", "out", "--test-source", "a"])
    assert "give --data-folder, --test-source and --test-target together" in capsys.readouterr().err
