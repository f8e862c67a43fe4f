"""Training on from finished runs: of all weights, or of an adapter, and from imported models."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import yaml

from keras_transformer import (
    Tokenizer,
    Transformer,
    Translator,
    base_fingerprint,
    import_marian,
    load_adapter,
    merge_adapter,
)
from keras_transformer.__main__ import main as use
from tests.checkpoints.interrupted import InterruptAt, Interrupted
from tests.conftest import ROOT, searches_without_xla
from tests.formats import marian_reference as reference
from tests.trainers.conftest import TINY, once, toy_pairs
from tests.trainers.test_resume import more_callbacks
from trainers import language_model
from trainers.recipe import Recipe
from trainers.translation import main

pytestmark = pytest.mark.usefixtures("without_xla")
FINETUNE = str(ROOT / "trainers" / "recipes" / "finetune.yaml")
QUICK = ("--tensorboard", "false", "--compile-with-xla", "false", "--checkpoint-steps", "2")
TEXT = ("--train-tsv", "train.tsv", "--tokens-per-batch", "257", "--max-shapes", "2")
VALID = ("--validation-tsv", "valid.tsv")
ADAPTER = [
    *TEXT, *QUICK, "--init-from", "base", "--lora-rank", "2", "--learning-rate", "0.01",
    "--epochs", "2", "--steps-per-epoch", "5", "--seed", "4",
]  # fmt: skip


@pytest.fixture(scope="module")
def desk(texts, tmp_path_factory):
    """A folder with texts, the run `base`, an `adapted` one from it, and an interrupted `half`."""
    folder = tmp_path_factory.mktemp("fine_tuning") / "desk"
    shutil.copytree(texts, folder)
    with contextlib.chdir(folder), searches_without_xla():
        lines = [text for pair in toy_pairs(193) for text in pair]
        tokenizer = Tokenizer.train(lines, 300, model_type="bpe")
        model = Transformer(300, num_layers=1, d_model=16, num_heads=2, d_ff=24, dropout_rate=0.2)
        languages = {"source_language": "en", "target_language": "fr"}
        Translator(model, tokenizer, max_source_length=64, about=languages).save("base")
        assert main([*ADAPTER, "--output", "adapted"]) == 0
        with more_callbacks(InterruptAt(8)), pytest.raises(Interrupted):
            main([*ADAPTER, "--output", "half"])
    return folder


@pytest.fixture
def at_desk(desk):
    with contextlib.chdir(desk):
        yield desk


@pytest.fixture
def copy(desk, tmp_path):
    """A copy of the desk, where the test is run."""
    shutil.copytree(desk, tmp_path / "desk")
    with contextlib.chdir(tmp_path / "desk"):
        yield tmp_path / "desk"


def weights(run):
    return Translator.load(run).model.get_weights()


def differ(one, other):
    return max(np.abs(a - b).max() for a, b in zip(weights(one), weights(other), strict=True))


@pytest.mark.slow
def test_the_run_of_an_adapter_is_a_run_as_any_other(at_desk):
    translator = Translator.load("adapted")
    assert all(variable.trainable for variable in translator.model.weights)
    assert differ("adapted", "base") > 1e-3
    assert translator.translate(["one two three"], beam_size=1)[0].text
    assert translator.about["target_language"] == "fr"  # of the base, not said again
    recipe = yaml.safe_load((at_desk / "adapted" / "recipe.yaml").read_text())
    assert (recipe["lora_rank"], recipe["source_language"], recipe["d_model"]) == (2, "en", 16)


@pytest.mark.slow
def test_its_adapter_on_its_base_is_the_same(at_desk):
    translator, adapted = Translator.load("base"), Translator.load("adapted")
    description = json.loads((at_desk / "adapted" / "run.json").read_text())
    assert description["adapter"] == {"rank": 2, "base": base_fingerprint(translator.model)}
    load_adapter(translator.model, "adapted/adapter.weights.h5")
    texts = ["one two three", "cat dog", "seven"]
    scores = [
        [one.log_prob for one in each.score(texts, ["un deux", "chat", "rue"])]
        for each in (translator, adapted)
    ]
    np.testing.assert_allclose(*scores, atol=1e-5)
    merge_adapter(translator.model)
    for one, other in zip(translator.model.get_weights(), weights("adapted"), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_checkpoints_and_states_hold_the_adapter_alone(at_desk):
    sizes = {path.name: path.stat().st_size for path in at_desk.glob("adapted/*.h5")}
    assert sizes["adapter.weights.h5"] > 0
    checkpoints = list(at_desk.glob("adapted/checkpoints/*.h5"))
    assert {path.stat().st_size for path in checkpoints} == {sizes["adapter.weights.h5"]}
    *_, state = sorted(at_desk.glob("half/checkpoints/state-*.npz"))
    with np.load(state) as arrays:
        names = list(arrays)
    kinds = ("kernel", "embeddings", "gamma", "beta", "bias")
    assert not [name for name in names if name.endswith(kinds)]
    for group, slots in (("model", 1), ("optimizer", 2)):
        matrices = [name for name in names if name.startswith(group) and "lora_kernel" in name]
        assert len(matrices) == slots * 2 * 16


@pytest.mark.slow
def test_an_interrupted_adapter_goes_on_bit_for_bit(copy, capsys):
    assert main([*ADAPTER, "--output", "half"]) == 0
    assert "Resuming from step 7, epoch 2.\n" in capsys.readouterr().out
    assert differ("half", "adapted") == 0
    base = Translator.load("base").model
    load_adapter(base, "half/adapter.weights.h5")
    merge_adapter(base)
    for found, expected in zip(base.get_weights(), weights("adapted"), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.slow
def test_with_another_base_it_does_not_go_on(copy, capsys):
    shutil.rmtree("base")
    shutil.copytree("adapted", "base")
    assert main([*ADAPTER, "--output", "half"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "trains an adapter of another base: the weights of base have changed." in error


@pytest.mark.slow
def test_a_killed_process_goes_on_bit_for_bit(copy):
    command = [sys.executable, "-m", "trainers.translation", *ADAPTER, "--output", "killed"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=environment)
    deadline = time.monotonic() + 240
    while not list(copy.glob("killed/checkpoints/state-*.npz")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (copy / "killed" / "run.json").exists()
    subprocess.run(command, env=environment, check=True, timeout=240)
    assert differ("killed", "adapted") == 0


@pytest.mark.slow
def test_a_command_merges_an_adapter_into_its_base(copy, capsys):
    adapter = ["--adapter", "adapted/adapter.weights.h5"]
    assert use(["adapt", "--run", "base", *adapter, "--output", "merged"]) == 0
    assert differ("merged", "adapted") == 0
    assert not (copy / "merged" / "adapter.weights.h5").exists()
    for run, output, message in (
        ("base", "merged", "merged holds a finished run"),
        ("adapted", "new", "adapted/adapter.weights.h5 is the adapter of another base"),
    ):
        assert use(["adapt", "--run", run, *adapter, "--output", output]) == 1
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
    assert not (copy / "new").exists()


@pytest.mark.slow
def test_an_ordinary_run_replaces_one_with_an_adapter(copy):
    translator = Translator.load("base")
    translator.save("adapted")
    assert not (copy / "adapted" / "adapter.weights.h5").exists()
    assert "adapter" not in json.loads((copy / "adapted" / "run.json").read_text())
    assert differ("adapted", "base") == 0


@pytest.mark.slow
def test_a_quantized_run_is_not_trained_on(copy, capsys):
    translator = Translator.load("base")
    translator.model.target_embedding.tokens.quantize("int8")
    translator.save("quantized")
    assert main([*TEXT, *QUICK, "--init-from", "quantized", "--output", "new"]) == 1
    error = capsys.readouterr().err
    assert "init_from quantized is quantized, and rounded weights cannot be trained" in error
    assert error.count("\n") == 1


@pytest.mark.slow
def test_the_recipe_stops_early_and_keeps_the_best(copy, capsys):
    """Nothing is learnt at such a rate, so that no measurement is better than the first."""
    options = [*QUICK, *TEXT, *VALID, "--learning-rate", "0.0000001", "--steps-per-epoch", "1"]
    command = ["--config", FINETUNE, *options, "--init-from", "base", "--output", "tuned"]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "Epoch 4/30" in out
    assert "Epoch 5/30" not in out
    assert differ("tuned", "base") < 1e-4


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("marian")
    config = {**reference.CONFIG, "scale_embedding": False}
    reference.write_checkpoint(folder / "checkpoint", config)
    translator = import_marian(folder / "checkpoint")
    translator.about |= {"source_language": "en", "target_language": "fr"}
    translator.save(folder / "run")
    return folder / "run"


@pytest.mark.slow
@pytest.mark.parametrize("lora", [[], ["--lora-rank", "3"]], ids=["all", "lora"])
def test_an_imported_model_is_trained_on(lora, imported, at, tmp_path, capsys):
    output = str(tmp_path / "run")
    start = ["--config", FINETUNE, "--init-from", str(imported), *lora, "--output", output]
    rate = ["--learning-rate", "0.003", "--epochs", "2", "--tokens-per-batch", "600"]
    assert main(once(*start, *TEXT, *VALID, *QUICK, *rate)) == 0
    first, tuned = Translator.load(imported), Translator.load(output)
    for side in ("tokenizer", "target_tokenizer"):
        assert getattr(first, side).fingerprint == getattr(tuned, side).fingerprint
    assert tuned.about["source_language"] == "en"
    assert tuned.about["imported_from"] == first.about["imported_from"]
    sources, targets = (["two cat", "a red dog"], ["deux chat", "un chien rouge"])
    before, after = (
        sum(one.log_prob for one in each.score(sources, targets)) for each in (first, tuned)
    )
    assert after > before
    assert (tmp_path / "run" / "adapter.weights.h5").exists() == bool(lora)


@pytest.mark.slow
def test_a_language_model_is_adapted_too(at, tmp_path, capsys):
    from keras_transformer import TextGenerator

    common = ["--train-text", "train.en", "--steps-per-epoch", "3", "--epochs", "1", *QUICK]
    sizes = once(*TINY)[:8]
    base, output = str(tmp_path / "base"), str(tmp_path / "run")
    assert language_model.main([*common, *sizes, "--output", base]) == 0
    adapter = ["--init-from", base, "--lora-rank", "2", "--learning-rate", "0.01"]
    command = [*common, *adapter, "--output", output]
    assert language_model.main(command) == 0
    generator = TextGenerator.load(base)
    before = generator.model.get_weights()
    load_adapter(generator.model, f"{output}/adapter.weights.h5")
    merge_adapter(generator.model)
    expected = TextGenerator.load(output).model.get_weights()
    for one, other in zip(generator.model.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(one, other)
    assert any(np.abs(a - b).max() > 1e-3 for a, b in zip(before, expected, strict=True))


def test_the_learning_rate_is_the_highest():
    from trainers.model import make_optimizer

    recipe = Recipe(output="run", init_from="base", learning_rate=0.0003, warmup_steps=50)
    recipe = recipe.completed(100, 10)
    assert recipe.learning_rate_scale == 0
    schedule = make_optimizer(recipe, d_model=512)._learning_rate
    rates = [float(schedule(step)) for step in range(200)]
    assert max(rates) == rates[49] == pytest.approx(0.0003)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lora_rank": 8}, "lora_rank adapts a finished run. Received: lora_rank=8 without init_f"),
        ({"lora_rank": -1, "init_from": "a"}, "lora_rank must be at least 0. Received: -1"),
        ({"learning_rate": -1.0}, "learning_rate must be at least 0. Received: -1.0"),
        (
            {"learning_rate": 0.1, "learning_rate_scale": 2.0},
            "Received: learning_rate=0.1 with learning_rate_scale.",
        ),
        (
            {"learning_rate": 0.1, "optimizer": "adafactor"},
            "Received: learning_rate=0.1 with optimizer=adafactor.",
        ),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        Recipe(output="run", **options)
    assert message in str(error.value)
