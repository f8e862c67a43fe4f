"""Runs of image models: from drawings, idx and PNG files; resumed exactly; told in one line."""

import gzip
import json

import numpy as np
import pytest

import keras_transformer as kt
from keras_transformer.data import drawings
from keras_transformer.images import ImageGenerator
from tests.checkpoints.interrupted import InterruptAt, Interrupted
from tests.data.test_image_files import idx, save
from trainers import images
from trainers.image_data import empty_images, open_images, shrink
from trainers.image_recipe import ImageRecipe
from trainers.images import main

QUICK = "--num-layers 1 --d-model 16 --num-heads 2 --d-ff 24 --image-size 8 --channels 1 "
QUICK += "--num-images 40 --held-out-images 11 --images-per-batch 8 --epochs 2 "
QUICK += "--compile-with-xla false --tensorboard false --dropout-rate 0.2"
QUICK = QUICK.split()


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        ["--classes", "true"],
        ["--distribution", "mixture", "--num-mixtures", "2"],
        ["--attention", "local_2d", "--query-rows", "4", "--query-columns", "4"],
        ["--enlarge", "4", "--attention", "full"],
    ],
)
def test_a_run_is_measured_and_draws(options, tmp_path, capsys):
    assert main([*QUICK, *options, "--output", str(tmp_path / "run")]) == 0
    out = capsys.readouterr().out
    assert "40 images of 8 x 8 x 1;" in out
    generator = ImageGenerator.load(tmp_path / "run")
    held_out = drawings(51, 8, 1).images[40:]
    classes = drawings(51, 8, 1).classes[40:] if "--classes" in options else None
    small = shrink(held_out, 4) if "--enlarge" in options else None
    bits = generator.bits(held_out, classes, small).mean()
    assert f"{bits:.4f} bits a dimension on 11 images: " in out
    assert generator.about["bits_per_dimension"] == pytest.approx(bits, abs=1e-6)
    assert 4 < bits < 9
    assert json.loads((tmp_path / "run" / "run.json").read_text())["kind"] == "images"
    last, average = (
        kt.average_checkpoints(generator.model, kept)
        or generator.bits(held_out, classes, small).mean()
        for kept in (sorted((tmp_path / "run" / "checkpoints").glob("epoch-*"))[n:] for n in (1, 0))
    )
    assert bits == pytest.approx(min(last, average), abs=1e-6)
    names = ["weights of the last epoch", "average of the last 2 epochs"]
    assert generator.about["weights"] == names[int(average < last)]
    assert not list((tmp_path / "run" / "checkpoints").glob("state-*"))
    assert main([*QUICK, *options, "--output", str(tmp_path / "run")]) == 1
    assert "holds a finished run" in capsys.readouterr().err


@pytest.mark.slow
def test_the_same_command_goes_on(tmp_path, capsys, monkeypatch):
    """Bit for bit, with dropout; another recipe is refused."""
    command = [*QUICK, "--checkpoint-steps", "2", "--output"]
    assert main([*command, str(tmp_path / "undisturbed")]) == 0
    fit = kt.resumable_fit

    def interrupted(*arguments, callbacks=(), **options):
        return fit(*arguments, callbacks=[*callbacks, InterruptAt(8)], **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kt.checkpoints, "resumable_fit", interrupted)
        with pytest.raises(Interrupted):
            main([*command, str(tmp_path / "run")])
    assert main([*command[:-1], "--d-ff", "25", "--output", str(tmp_path / "run")]) != 0
    capsys.readouterr()
    assert main([*command, str(tmp_path / "run")]) == 0
    assert "Resuming from step 7, epoch 2." in capsys.readouterr().out
    one, other = (
        ImageGenerator.load(tmp_path / name).model.get_weights() for name in ("run", "undisturbed")
    )
    for weights, others in zip(one, other, strict=True):
        np.testing.assert_array_equal(weights, others)


def test_idx_files_have_a_test_split(tmp_path):
    generator = np.random.default_rng(1)
    for split, count in (("train", 9), ("t10k", 7)):
        pixels = generator.integers(0, 256, (count, 8, 9))
        labels = np.arange(count) % 3
        (tmp_path / f"{split}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(pixels)))
        (tmp_path / f"{split}-labels-idx1-ubyte").write_bytes(idx(labels))
    recipe = ImageRecipe(output="x", data=str(tmp_path), held_out_images=0, classes=True)
    data = open_images(recipe)
    assert (data.shape, data.num_classes) == ((8, 9, 1), 3)
    assert (len(data.train.images), len(data.held_out.images)) == (9, 7)
    fewer = open_images(ImageRecipe(output="x", data=str(tmp_path), held_out_images=5))
    np.testing.assert_array_equal(fewer.held_out.images, data.held_out.images[:5])
    assert fewer.num_classes == 0


@pytest.mark.slow
def test_a_dataset_of_tfds(tmp_path):
    """A real one, which is prepared in its folder."""
    tfds = pytest.importorskip("tensorflow_datasets", reason="tensorflow-datasets is not installed")
    pixels = np.random.default_rng(1).integers(0, 256, (12, 8, 9, 3)).astype("uint8")

    class SmallImages(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            image, label = (
                tfds.features.Image(shape=(8, 9, 3)),
                tfds.features.ClassLabel(num_classes=4),
            )
            features = tfds.features.FeaturesDict({"image": image, "label": label})
            return tfds.core.DatasetInfo(
                builder=self, description="Images.", features=features, disable_shuffling=True
            )

        def _split_generators(self, _):
            return {"train": self._images(range(9)), "test": self._images(range(9, 12))}

        def _generate_examples(self):
            raise NotImplementedError

        @staticmethod
        def _images(numbers):
            for number in numbers:
                yield number, {"image": pixels[number], "label": number % 4}

    SmallImages(data_dir=tmp_path).download_and_prepare()
    options = {"output": "x", "data": "tfds:small_images", "data_folder": str(tmp_path)}
    recipe = ImageRecipe(**options, held_out_images=2, classes=True)
    data = open_images(recipe)
    np.testing.assert_array_equal(data.train.images, pixels[:9])
    np.testing.assert_array_equal(data.held_out.images, pixels[9:11])
    np.testing.assert_array_equal(data.held_out.classes, [1, 2])
    assert data.num_classes == 4
    empty = empty_images(recipe)
    assert (empty.shape, empty.num_classes) == ((8, 9, 3), 4)


@pytest.mark.parametrize(
    ("options", "shape", "num_classes"),
    [
        ({"image_size": 11, "channels": 1, "classes": True}, (11, 11, 1), 10),
        ({"data": "tfds:cifar10", "classes": True}, (32, 32, 3), 10),
        ({"data": "tfds:fashion_mnist"}, (28, 28, 1), 0),
    ],
)
def test_sizes_are_known_before_images_are_read(options, shape, num_classes):
    data = empty_images(ImageRecipe(output="x", **options))
    assert (data.shape, data.num_classes) == (shape, num_classes)


def test_png_files_are_divided_by_the_seed(tmp_path):
    pytest.importorskip("PIL", reason="PNG files need Pillow")
    pixels = np.random.default_rng(1).integers(0, 256, (20, 8, 8, 3)).astype("uint8")
    for number, one in enumerate(pixels):
        save(tmp_path / f"{number:02}.png", one)
    parts = [
        open_images(ImageRecipe(output="x", data=str(tmp_path), held_out_images=4, seed=seed))
        for seed in (1, 1, 2)
    ]
    assert (len(parts[0].train.images), len(parts[0].held_out.images)) == (16, 4)
    np.testing.assert_array_equal(parts[0].held_out.images, parts[1].held_out.images)
    assert (parts[0].held_out.images != parts[2].held_out.images).any()
    everything = np.concatenate([parts[0].train.images, parts[0].held_out.images])
    assert {one.tobytes() for one in everything} == {one.tobytes() for one in pixels}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--data missing", "--data must be drawings, tfds:NAME or a folder. Received: missing"),
        ("--data .", "has no PNG files"),
        ("--data tfds:no_such_thing", "tfds:no_such_thing cannot be read: "),
        ("--data-folder here", "data_folder only applies to data tfds:NAME. Received: data draw"),
        ("--image-size 7", "image_size must be at least 8. Received: 7"),
        ("--channels 2", "channels must be 1 or 3. Received: 2"),
        ("--dropout-rate 1", "dropout_rate must be at least 0 and less than 1. Received: 1.0"),
        ("--held-out-images 0", "held_out_images of drawings must be at least 1"),
        ("--learning-rate-scale 0", "learning_rate_scale must be greater than 0. Received: 0"),
        ("--warmup-steps 0", "warmup_steps must be at least 1. Received: 0"),
        ("--optimizer adafactor", "optimizer adafactor has its own step sizes."),
        ("--d-model 15", "must be even"),
        ("--enlarge 1", "enlarge must be 0, or at least 2 and without classes."),
        ("--enlarge 2 --classes true", "Received: enlarge=2, classes=True"),
        ("--enlarge 3", "enlarge must be a divisor of rows and columns, 8 and 8. Received: "),
        ("--num-heads 3", "num_heads"),
    ],
)
def test_one_line_says_what_is_wrong(tmp_path, options, message, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    quick = [*QUICK]
    name = options.split()[0]
    if name in quick:
        at = quick.index(name)
        del quick[at : at + 2]
    assert main([*quick, *options.split(), "--output", "new"]) == 1
    errors = capsys.readouterr().err
    assert message in errors
    assert len(errors.splitlines()) == 1
    assert not (tmp_path / "new").exists()


def test_classes_are_asked_for(tmp_path, capsys):
    pytest.importorskip("PIL", reason="PNG files need Pillow")
    for number in range(3):
        save(tmp_path / f"{number}.png", np.full((8, 8), number, "uint8"))
    options = ["--data", str(tmp_path), "--classes", "true", "--output", str(tmp_path / "new")]
    quick = [*QUICK]
    at = quick.index("--held-out-images")
    quick[at + 1] = "1"
    assert main([*quick, *options]) == 1
    assert "classes needs images with classes, which" in capsys.readouterr().err


def test_a_small_image_has_the_means_of_squares():
    given = np.arange(2 * 4 * 6 * 3).reshape(2, 4, 6, 3) % 256
    small = shrink(given, 2)
    assert small.shape == (2, 2, 3, 3)
    assert small[1, 1, 2, 0] == round(given[1, 2:4, 4:6, 0].mean())


def test_what_the_recipe_says_is_what_the_model_is():
    recipe = ImageRecipe(output="x", attention="local_2d", query_rows=4, query_columns=6,
                         flange_rows=2, flange_columns=3, distribution="mixture", num_mixtures=4,
                         num_images=3, held_out_images=2, num_layers=2, d_model=12, d_ff=20,
                         norm="post")  # fmt: skip
    generator = images.make_generator(recipe, open_images(recipe))
    (block, _) = generator.model.decoder.blocks
    attention = block.self_attention.attention
    assert (attention.query_shape, attention.memory_flange) == ((4, 6), (2, 3))
    assert generator.model.embedding.num_mixtures == 4
    assert (block.d_ff, block.norm, generator.image_shape) == (20, "post", (16, 16, 3))
