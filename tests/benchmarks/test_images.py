"""Image models beside codes that are none, with runs that are there already."""

import json

import numpy as np
import pytest
from PIL import Image

import keras_transformer as kt
from benchmarks.images import bicubic, logistic_bits, main
from keras_transformer.images import ImageGenerator

SIZES = {"num_layers": 1, "d_model": 8, "num_heads": 2, "d_ff": 16}


def write_idx(path, array):
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    path.write_bytes(header + array.tobytes())


def size_of(path):
    with Image.open(path) as image:
        return image.size


@pytest.fixture
def folder(tmp_path):
    """Images, and the runs of two models without training."""
    generator = np.random.default_rng(0)
    for name, count in (("train", 23), ("t10k", 13)):
        images = generator.integers(0, 8, (count, 8, 8)).astype("uint8")
        write_idx(tmp_path / f"{name}-images-idx3-ubyte", images)
        write_idx(tmp_path / f"{name}-labels-idx1-ubyte", np.zeros(count, "uint8"))
    model = kt.create_image_model((8, 8, 1), **SIZES, block_length=16)
    ImageGenerator(model).save(tmp_path / "out" / "local")
    enlarging = kt.create_enlarging_model((4, 4, 1), (8, 8, 1), **SIZES, block_length=16)
    ImageGenerator(enlarging).save(tmp_path / "out" / "enlarging")
    return tmp_path


@pytest.mark.slow
def test_tables_and_sheets(folder, capsys):
    out = folder / "out"
    options = ["--data", str(folder), "--output", str(out), "--attentions", "local"]
    main([*options, "--enlarge", "2", "--samples", "8", "--draws", "2", "--repeats", "1"])
    assert capsys.readouterr().out.count("is finished") == 2
    results = json.loads((out / "results.json").read_text())
    bits = results["bits"]
    assert bits["local"] == pytest.approx(8)  # all intensities are equally probable
    assert 2.9 < bits["zero order"] < 3.3  # eight of them are
    assert bits["PNG"] > bits["xz -9"] > 3
    assert results["seconds"]["local"]["uncached"] > results["seconds"]["local"]["cached"] > 0
    assert list(results["enlarging"]) == ["bicubic", "drawn", "mean of 2"]
    assert results["enlarging"]["drawn"]["bits"] == pytest.approx(8)
    sheets = {path.name: size_of(path) for path in out.glob("*.png")}
    assert sheets == {
        "samples_local.png": (8 * 30 - 6, 24),
        "completions_local.png": (8 * 30 - 6, 24),
        "enlarged.png": (10 * 30 - 6, 4 * 30 - 6),
    }


def test_a_logistic_around_a_guess_adds_up_to_one():
    every = np.arange(256, dtype="uint8")
    for guess, scale in ((3.7, 0.5), (128.0, 20.0), (254.9, 64.0)):
        guesses = np.full(256, guess, "float32")
        bits = [logistic_bits(every[i : i + 1], guesses[:1], scale) for i in range(256)]
        assert sum(2.0**-one for one in bits) == pytest.approx(1, abs=1e-3)


def test_a_logistic_is_as_exact_above_a_guess_as_below():
    images, guess = np.array([[180], [240 - 180]], "uint8"), np.float32(120)
    above, below = (logistic_bits(one, guess, 2.5) for one in images)
    assert above == pytest.approx(below, rel=1e-6)
    assert 30 < below < 39


def test_bicubic_interpolation_keeps_what_is_even():
    np.testing.assert_allclose(bicubic(np.full((1, 2, 2, 1), 77, "uint8"), (6, 6)), 77)
