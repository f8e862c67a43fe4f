"""Rows or padded pairs: the choice of a recipe for a corpus, to which a run keeps."""

from types import SimpleNamespace

import numpy as np
import pytest

from keras_transformer.data import PackedBatches, TokenBatches
from keras_transformer.models import PRESETS
from tests.trainers.conftest import TINY, once, toy_pairs
from trainers.flops import train_step_flops
from trainers.recipe import Recipe
from trainers.recipe_file import read_recipe
from trainers.training_batches import choice_of, epoch_flops, make_training_batches
from trainers.translation import main

CPU = SimpleNamespace(replicas=1, wants_one_shape=False)
TPU = SimpleNamespace(replicas=1, wants_one_shape=True)
SIZES = {"num_decoder_layers": None, "target_vocabulary_size": None, "vocabulary_size": 997}
SIZES = SimpleNamespace(**{**SIZES, **PRESETS["tiny"]})


def cache_of(lengths):
    """Returns as much of a `TokenCache` as batches read before the first one is made."""
    return SimpleNamespace(lengths=np.array(lengths), reports=[None])


def various(longest, count=4001, seed=5):
    """Lengths as those of captions: most pairs are much shorter than the longest."""
    draw = np.random.default_rng(seed)
    sources = np.clip(draw.gamma(4.0, 3.0, count).astype(int), 2, longest)
    targets = np.clip(sources + draw.integers(-3, 4, count), 2, longest)
    return np.stack([sources, targets], axis=1)


def chosen(lengths, devices=CPU, **options):
    recipe = Recipe("run", **{"tokens_per_batch": 1024, "max_shapes": 4, **options})
    return make_training_batches(recipe, cache_of(lengths), devices, SIZES)


def test_short_pairs_of_various_lengths_share_rows():
    batches = chosen(various(41))
    assert isinstance(batches, PackedBatches)
    assert batches.shapes == ((16, 48, 48),)  # the longest pair, in a multiple of 8
    assert choice_of(batches) == {"packed": "always", "packed_length": 48}
    assert chosen(various(41), packed_length=64).shapes == ((16, 64, 64),)
    short = np.random.default_rng(7).integers(2, 8, (4001, 2))
    assert chosen(short, max_shapes=1).shapes == ((64, 16, 16),)  # one of 8 would hold one pair


@pytest.mark.parametrize(
    ("lengths", "options"),
    [
        (np.full((4001, 2), 16), {}),  # no padding in either: rows save nothing
        (np.append(various(41), [[500, 500]], axis=0), {"tokens_per_batch": 4096}),  # a long row
        (various(41), {"packed": "never"}),
        (various(41), {"architecture": "recurrent"}),  # a step for each position of a row
        (various(41), {"architecture": "latent"}),
        (various(41), {"packed_length": 40}),  # shorter than the longest pair
        (various(41), {"tokens_per_batch": 8 * 48 - 1}),  # less than eight rows
        (various(41, count=307), {}),  # less than ten batches
    ],
)
def test_other_pairs_are_padded(lengths, options):
    batches = chosen(lengths, **options)
    assert isinstance(batches, TokenBatches)
    assert choice_of(batches) == {"packed": "never"}


def test_a_model_of_other_parts_is_trained_on_padded_pairs():
    recipe = Recipe("run", tokens_per_batch=1024)
    batches = make_training_batches(recipe, cache_of(various(41)), CPU, SimpleNamespace(d_model=8))
    assert isinstance(batches, TokenBatches)


def test_a_tpu_takes_rows_of_the_maximum_length():
    assert chosen(various(41), TPU, max_length=64).shapes == ((16, 64, 64),)
    assert isinstance(chosen(various(41), TPU, architecture="latent"), TokenBatches)


@pytest.mark.parametrize("packed", ["always", "never"])
def test_operations_are_those_of_all_batches_of_many_epochs(packed):
    batches = chosen(various(41), packed=packed, max_length=41)
    epochs = 60
    counted = 0
    for epoch in range(epochs):
        for shape, _ in batches._epoch_order(epoch):
            counted += train_step_flops(SIZES, *batches.shapes[shape])
    assert epoch_flops(batches, SIZES) == pytest.approx(counted / epochs, rel=0.01)


@pytest.mark.slow
def test_a_run_says_what_was_chosen(tmp_path, capsys):
    """In its recipe, which a later run may take over: nothing is chosen anew."""
    text = "".join(f"{source}\t{target}\n" for source, target in toy_pairs(307))
    (tmp_path / "train.tsv").write_text(text)
    options = once(
        "--train-tsv", str(tmp_path / "train.tsv"), *TINY, "--epochs", "1",
        "--tensorboard", "false", "--compile-with-xla", "false", "--max-shapes", "1",
        "--tokens-per-batch", "128", "--d-model", "64", "--num-heads", "2", "--d-ff", "192",
    )  # fmt: skip
    run = tmp_path / "first"
    for more in ([], ["--config", str(run / "recipe.yaml")]):
        run = tmp_path / ("second" if more else "first")
        assert main([*more, *options, "--output", str(run)]) == 0
        recipe = read_recipe("trainer", ["--config", str(run / "recipe.yaml"), "--output", "x"])
        assert (recipe.packed, recipe.packed_length) == ("always", 16)  # twice the longest pair
        assert "batches of 8x16x16 " in capsys.readouterr().out
