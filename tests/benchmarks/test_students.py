"""Students beside their teacher, with runs that are there already."""

import json

import pytest
import yaml

from benchmarks.students import main, parse
from keras_transformer import Tokenizer, Transformer, Translator
from keras_transformer.training import make_bleu
from tests.translation.conftest import sentences
from tests.weights import randomize

SIZES = {"d_model": 8, "num_heads": 2, "d_ff": 11}


@pytest.fixture
def folder(tmp_path):
    """Texts, a recipe, and the four runs."""
    files = [f"{name}.{side}" for name in ("train", "val", "test") for side in ("en", "de")]
    for seed, file in enumerate(files):
        lines = sentences(11, seed, longest=5)
        (tmp_path / file).write_text("".join(f"{line}\n" for line in lines))
    recipe = {"corpus": "files", "epochs": 3}
    for name, file in (("train", "train"), ("validation", "val")):
        recipe |= {f"{name}_source": f"{file}.en", f"{name}_target": f"{file}.de"}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    tokenizer = Tokenizer.train(lines * 20, 290, model_type="bpe")
    for name in ("1_2", "1_2_untaught", "2_1", "2_1_taught"):
        layers, decoder_layers = int(name[0]), int(name[2])
        model = Transformer(290, layers, num_decoder_layers=decoder_layers, **SIZES)
        model.build()
        Translator(randomize(model), tokenizer).save(tmp_path / "out" / name)
    return tmp_path


@pytest.mark.slow
def test_all_models_are_compared(folder, capsys):
    output = folder / "out"
    options = ["--output", str(output), "--config", str(folder / "recipe.yaml")]
    options += ["--data-folder", str(folder), "--shapes", "1+2", "2+1", "--size", "17"]
    options += ["--num-frequent", "3", "--candidates", "2", "--beams", "2", "--repeats", "1"]
    options += ["--taught", "2+1", "--student-options", "norm=pre", "warmup_steps=7"]
    main([*options, "--test-source", "test.en", "--test-target", "test.de"])
    printed = capsys.readouterr().out
    assert printed.count("is finished") == 4
    assert len((output / "teacher.target").read_text().splitlines()) == 11
    teacher, untaught, student, taught = (
        yaml.safe_load((output / f"{name}.yaml").read_text())
        for name in ("1_2", "1_2_untaught", "2_1", "2_1_taught")
    )
    assert not {"norm", "warmup_steps"} & set(teacher)
    assert untaught == teacher | {"norm": "pre", "warmup_steps": 7}
    assert all((one["norm"], one["warmup_steps"]) == ("pre", 7) for one in (student, taught))
    assert (taught["num_layers"], taught["num_decoder_layers"]) == (2, 1)
    assert taught["train_source"] == ["train.en", "train.en"]
    assert taught["train_target"] == ["train.de", str(output.resolve() / "teacher.target")]
    results = json.loads((output / "results.json").read_text())
    names = ["1+2", "1+2, untaught", "2+1", "2+1, taught"]
    assert list(results) == [title for one in names for title in (one, f"{one}, shortlist")]
    assert all(one["seconds"] > 0 for one in results.values())
    translator = Translator.load(output / "2_1_taught", shortlist=True)
    assert results["2+1, taught, shortlist"]["parameters"] == translator.model.count_params()
    for name in ("val", "test"):
        sources, references = (
            (folder / f"{name}.{side}").read_text().splitlines() for side in ("en", "de")
        )
        found = [one.text for one in translator.translate(sources, beam_size=2)]
        bleu = make_bleu("auto", "", references).corpus_score(found, [references]).score
        assert results["2+1, taught, shortlist"][f"bleu_{name}"] == bleu
    assert printed.count("x |\n") == len(results)


def test_options():
    arguments = parse(["--output", "runs", "--data-folder", "data"])
    assert arguments.shapes == ["4+4", "6+2", "6+1"]
    assert arguments.student_options == []


@pytest.mark.parametrize("text", ["norm", "=pre", "norm=", "norm=["])
def test_an_option_without_a_name_or_a_value_is_refused(text, capsys):
    with pytest.raises(SystemExit):
        parse(["--output", "runs", "--data-folder", "data", "--student-options", text])
    assert f"invalid recipe_option value: '{text}'" in capsys.readouterr().err
