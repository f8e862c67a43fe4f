"""The comparison of the family, in its smallest setting."""

import json

import pytest
import yaml

from benchmarks import family
from benchmarks.family_members import (
    MEMBERS,
    PLAIN,
    TOLERANCE,
    Member,
    count_weights,
    fitted_settings,
)
from benchmarks.runs import train_run
from tests.conftest import QUICK_TO_COMPILE, run_python

SETTINGS = {"num_layers": 3, "d_model": 28, "d_ff": 52}
SMALL = {  # large enough that every member can be made as large as the Transformer
    "vocabulary_size": 277,
    "num_layers": 3,
    "d_model": 48,
    "num_heads": 4,
    "d_ff": 144,
    "preset": "tiny",
}


@pytest.mark.parametrize("wanted", [10_007, 99_991, 300_007])
def test_the_nearest_size_is_found(wanted):
    """A plain search over all sizes finds none that is nearer."""

    def count(settings):
        return wanted if settings is SETTINGS else 17 + settings["d_ff"] ** 2

    member = Member("rotary", "d_ff", 3)
    found = fitted_settings(member, SETTINGS, count)
    every = [17 + size**2 for size in range(3, 999, 3)]
    assert count(found) == min(every, key=lambda number: abs(number - wanted))
    assert found["architecture"] == "rotary"


def test_another_number_of_layers_is_part_of_the_size():
    member = Member("rotary", layers=lambda layers: 2 * layers - 1)
    found = fitted_settings(member, SETTINGS, lambda settings: 900 + settings["d_ff"])
    assert found["num_layers"] == 5


def test_the_model_that_others_are_compared_with_stays_as_it_is():
    assert fitted_settings(MEMBERS[PLAIN], SETTINGS, None) == SETTINGS


def test_a_size_that_does_not_fit_is_told():
    def count(settings):
        return 100 if settings is SETTINGS else 131 + settings["d_ff"]

    with pytest.raises(ValueError, match=r"rotary cannot .* the transformer of 100 .*\(\+39.0%\)"):
        fitted_settings(Member("rotary"), SETTINGS, count)


def test_weights_are_counted_as_keras_does():
    """7 vectors of 8 numbers, no block but one each of 2 x 4 x 8^2 and more: see the formula."""
    settings = {"num_layers": 1, "d_model": 8, "num_heads": 2, "d_ff": 5, "vocabulary_size": 7}
    attention, network, norm = 4 * 8 * 8, 2 * 8 * 5 + 5 + 8, 2 * 8
    expected = 7 * 8 + (attention + network + 2 * norm) + (2 * attention + network + 3 * norm)
    assert count_weights({**settings, "preset": "tiny"}) == expected


@pytest.mark.parametrize("first", [7, 3])
def test_the_curve_is_read_from_the_log_of_a_training(first, tmp_path):
    """Also where it was interrupted, and 3 of 7 steps were left; not every epoch has a BLEU."""
    log = tmp_path / "training.log"
    log.write_text(
        "Epoch 1/4\nvalidation: BLEU 3.25\n"
        f"{first}/{first} - 3s - 451ms/step - loss: 5.2 - val_loss: 4.9 - val_bleu: 3.2500\n"
        "Epoch 2/4\n7/7 - 3s - 451ms/step - loss: 4.7 - val_loss: 4.2\n"
        "Epoch 3/4\nstopped by SIGTERM\nEpoch 3/4\n"
        "5/5 - 3s - 451ms/step - loss: 4.2 - val_loss: 3.9 - val_bleu: 11.5000 - val_chrf: 29.0\n"
    )
    assert family.read_curve(log) == [(7, 3.25), (21, 11.5)]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--source", __file__], "--source: give --target, --validation-source, --validation-"),
        (["--test-source", __file__], "give --source"),
        (["--only", "recurent"], "invalid choice: 'recurent'"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, expected, capsys, tmp_path):
    with pytest.raises(SystemExit):
        family.parse(["--output", str(tmp_path), *options])
    assert expected in capsys.readouterr().err


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SystemExit, match=r"benchmarks.family: there is no file missing.yaml"):
        family.main(["--output", str(tmp_path), "--config", "missing.yaml"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["convolutional", "recurrent", "slicenet", "memory_compressed"])
def test_members_fit_the_recipe_of_the_phrasebook(name):
    recipe = family.read_settings(family.RECIPE)
    fitted = fitted_settings(MEMBERS[name], recipe, count_weights)
    assert count_weights(fitted) == pytest.approx(count_weights(recipe), rel=TOLERANCE)


@pytest.mark.slow
@pytest.mark.stood_for("each test of a part, and tests/benchmarks/test_many_languages.py,")
def test_the_whole_program(tmp_path, capsys):
    words = [f"w{n % 7} x{n % 11} y{n % 13}" for n in range(300)]
    for name, lines in (("train", words), ("validation", words[:13])):
        for side in ("source", "target"):
            (tmp_path / f"{name}.{side}").write_text("\n".join(lines) + "\n")
    recipe = {**SMALL, "epochs": 2, "tokens_per_batch": 512, "warmup_steps": 3, "max_shapes": 1}
    recipe |= {"max_length": 17, "compile_with_xla": False}
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(recipe))
    files = [
        option
        for part, name in (("", "train"), ("validation-", "validation"))
        for side in ("source", "target")
        for option in (f"--{part}{side}", str(tmp_path / f"{name}.{side}"))
    ]
    output, figure = tmp_path / "family", tmp_path / "figure.svg"
    command = ["-m", "benchmarks.family", "--output", str(output), *files, "--only", PLAIN]
    command += ["--config", str(tmp_path / "small.yaml"), "--figure", str(figure)]
    command += ["--steps", "2", "--repeats", "1", "--sentences", "5", "--single", "2"]
    printed = run_python(*command, XLA_FLAGS=QUICK_TO_COMPILE)
    results = json.loads((output / "family.json").read_text())
    assert list(results) == [PLAIN]
    for name, result in results.items():
        assert f"| {name} | {result['weights']:,} |" in printed
        assert len(result["bleu"]) == 2
        assert result["training_tokens"] > 0
        assert result["decoding_tokens_32"] > 0
        assert result["validation"]["loss"] > 0
    assert results[PLAIN]["sequential"]["training"] == 2
    assert "seconds of training" in figure.read_text()
    train_run(output / PLAIN)
    assert f"{PLAIN}: {output}/{PLAIN} is finished" in capsys.readouterr().out
