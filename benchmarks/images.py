"""Compares models of images: bits a dimension, and seconds to draw.

    python -m benchmarks.images --data /usr/share/datasets/fashion-mnist --output runs/images

Trains an Image Transformer by the recipe of `--config` with each of the `--attentions`, of as many
weights, and one that enlarges images `--enlarge` times. The images are grey, those of a folder of
idx files.

The first table has the bits a dimension of `--images` test images: of the models; of a code for
single intensities, with the frequencies of the training images (zero order); of a PNG file for each
image; and of `xz -9` of all of them in a row. The second one has the seconds in which `--samples`
images are drawn, after compilation, with a cache, and as they would be without one: a pass over
all places for every intensity, of which `--repeats` are timed. Nothing else should be running.

The third table is about enlarging. Squared errors are those of intensities from 0 to 1: of bicubic
interpolation, of an image that the model draws, and of the mean of `--draws` of them. The bits of
bicubic interpolation are those of a logistic distribution around it, of the scale that fits best.

Sheets of pictures are written to OUTPUT: `samples_NAME.png`; `completions_NAME.png`, images and
others that begin with their upper halves; and `enlarged.png`, small images, bicubic interpolation,
two images that are drawn, and the original.

Recipes are written to `OUTPUT/NAME.yaml`, runs to `OUTPUT/NAME`, results to `OUTPUT/results.json`.
Finished runs are not trained again, and interrupted ones go on.
"""

import io
import json
import lzma
import statistics
import time
from pathlib import Path

import numpy as np
import yaml

from benchmarks.parser import make_parser
from benchmarks.runs import train_run, write_recipe
from benchmarks.turns import print_table

RECIPE = Path(__file__).parents[1] / "trainers" / "recipes" / "fashion_mnist.yaml"
ATTENTIONS = ("local", "local_2d", "full")
ENLARGING = "enlarging"
TRAINER = "trainers.images"
COLUMNS = 8  # of a sheet


def main(arguments=None):
    arguments = parse(arguments)
    arguments.output.mkdir(parents=True, exist_ok=True)
    train_all(arguments)
    train, test = read_images(arguments)
    results = {"bits": code_lengths(train, test), "seconds": {}}
    for name in arguments.attentions:
        generator = load(arguments, name)
        draw_sheets(arguments, name, generator, test)
        results["bits"][name] = float(generator.bits(test).mean())
        if arguments.repeats:
            results["seconds"][name] = seconds_of_drawing(arguments, generator, test)
        del generator
    if arguments.enlarge:
        results["enlarging"] = enlarging(arguments, train, test)
    file = arguments.output / "results.json"
    file.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print_results(results)


def train_all(arguments):
    """Trains the models, one after the other."""
    settings = yaml.safe_load(arguments.config.read_text(encoding="utf-8"))
    settings |= {"data": str(arguments.data.resolve())}
    settings |= {"epochs": arguments.epochs} if arguments.epochs else {}
    variants = {name: {"attention": name} for name in arguments.attentions}
    if arguments.enlarge:
        variants[ENLARGING] = {"enlarge": arguments.enlarge}
    for name, options in variants.items():
        run = arguments.output / name
        write_recipe(run, yaml.safe_dump(settings | options, sort_keys=False))
        train_run(run, TRAINER)


def read_images(arguments):
    """Returns the training images and the test images, `(N, h, w, 1)`."""
    from keras_transformer.data import read_idx_folder

    train, test = (read_idx_folder(arguments.data, split).images for split in ("train", "test"))
    return train, test[: arguments.images or None]


def load(arguments, name):
    from keras_transformer.images import ImageGenerator

    return ImageGenerator.load(arguments.output / name)


def code_lengths(train, test):
    """Returns the bits a dimension of codes that are no models of images."""
    counts = np.bincount(train.ravel(), minlength=256) + 1
    frequencies = counts / counts.sum()
    files = [png_size(image[..., 0]) for image in test]
    return {
        "zero order": float(-np.log2(frequencies[test]).mean()),
        "PNG": 8 * sum(files) / test.size,
        "xz -9": 8 * len(lzma.compress(test.tobytes(), preset=9)) / test.size,
    }


def png_size(pixels):
    """Returns the size of a PNG file in bytes."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", optimize=True)
    return len(file.getvalue())


def draw_sheets(arguments, name, generator, test):
    """Writes a sheet of samples, and one of completions."""
    count = arguments.samples
    samples = generator.generate(count, seed=1)
    write_sheet(arguments.output / f"samples_{name}.png", samples)
    whole = test[: count // COLUMNS]
    begun = np.repeat(whole, COLUMNS - 1, axis=0)
    rows = generator.image_shape[0] // 2
    rest = generator.generate(len(begun), begin=begun, rows=rows, seed=2)
    rest = rest.reshape(len(whole), COLUMNS - 1, *rest.shape[1:])
    pictures = np.concatenate([whole[:, None], rest], axis=1).reshape(-1, *rest.shape[2:])
    write_sheet(arguments.output / f"completions_{name}.png", pictures)


def write_sheet(path, images, columns=COLUMNS):
    from PIL import Image

    from keras_transformer.images import make_sheet

    sheet = make_sheet(images.astype("uint8"), columns, scale=3, gap=2)
    Image.fromarray(sheet[..., 0]).save(path, "PNG")


def seconds_of_drawing(arguments, generator, test):
    """Returns the seconds of a sheet with a cache and without one."""
    count, cells = arguments.samples, generator.image_shape[0] * generator.image_shape[1]
    generator.generate(count)
    cached, passes = [], []
    for turn in range(arguments.repeats):
        cached.append(seconds_of(lambda turn=turn: generator.generate(count, seed=turn)))
        passes.append(seconds_of(lambda: generator.bits(test[:count])))
    return {
        "cached": statistics.median(cached),
        "uncached": statistics.median(passes) * cells,
    }


def seconds_of(work):
    """Returns how long a function takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def enlarging(arguments, train, test):
    """Returns squared errors and bits of enlarged images, and writes a sheet of them."""
    from trainers.image_data import shrink

    generator = load(arguments, ENLARGING)
    small, chosen = shrink(test, arguments.enlarge), test[: arguments.samples]
    drawn = [
        generator.generate(len(chosen), small=small[: len(chosen)], seed=seed)
        for seed in range(arguments.draws)
    ]
    smooth = bicubic(small, test.shape[1:3])
    shown = slice(min(12, len(chosen)))
    coarse = small[shown].repeat(arguments.enlarge, axis=1).repeat(arguments.enlarge, axis=2)
    columns = [coarse, smooth[shown], drawn[0][shown], drawn[-1][shown], chosen[shown]]
    pictures = np.stack(columns, axis=1).reshape(-1, *test.shape[1:])
    write_sheet(arguments.output / "enlarged.png", np.rint(pictures), columns=10)
    of_training = train[: len(test)]
    guesses = bicubic(shrink(of_training, arguments.enlarge), test.shape[1:3])
    scale = min(np.geomspace(0.5, 64, 29), key=lambda one: logistic_bits(of_training, guesses, one))
    return {
        "bicubic": {
            "error": squared_error(smooth[: len(chosen)], chosen),
            "bits": logistic_bits(test, smooth, scale),
        },
        "drawn": {
            "error": squared_error(drawn[0], chosen),
            "bits": float(generator.bits(test, small=small).mean()),
        },
        f"mean of {len(drawn)}": {"error": squared_error(np.mean(drawn, axis=0), chosen)},
    }


def bicubic(small, size):
    """Returns images enlarged by bicubic interpolation, float32, from 0 to 255."""
    from PIL import Image

    height, width = size
    images = [Image.fromarray(one[..., 0]).resize((width, height), Image.BICUBIC) for one in small]
    return np.stack([np.asarray(one, "float32")[..., None] for one in images])


def squared_error(guesses, images):
    """Returns the mean squared error of intensities from 0 to 1."""
    return float(np.mean(np.square((guesses.astype("float32") - images) / 255)))


def logistic_bits(images, guesses, scale):
    """Returns the bits a dimension under logistic distributions around the guesses, in 0 to 255."""

    def below(x):
        return 1 / (1 + np.exp(-np.clip(x / scale, -60, 60)))

    images = images.astype("float64")
    upper = np.where(images == 255, np.inf, images + 0.5 - guesses)
    lower = np.where(images == 0, -np.inf, images - 0.5 - guesses)
    # Far above the guess both are nearly 1, and their difference is that of the rests.
    sign = np.where(images > guesses, -1, 1)
    shares = sign * (below(sign * upper) - below(sign * lower))
    return float(-np.log2(np.maximum(shares, 1e-12)).mean())


def print_results(results):
    bits = [[name, f"{one:.3f}"] for name, one in results["bits"].items()]
    print_table(["code", "bits a dimension"], bits)
    seconds = [
        [name, *(f"{one[kind]:,.1f}" for kind in ("cached", "uncached")), f"{_ratio(one):,.0f}"]
        for name, one in results["seconds"].items()
    ]
    if seconds:
        print_table(["attention", "seconds", "without cache", "ratio"], seconds)
    if "enlarging" in results:
        rows = [
            [name, f"{one['error']:.5f}", f"{one['bits']:.3f}" if "bits" in one else ""]
            for name, one in results["enlarging"].items()
        ]
        print_table(["enlarged", "squared error", "bits a dimension"], rows)


def _ratio(seconds):
    return seconds["uncached"] / seconds["cached"]


def parse(arguments):
    parser = make_parser("images", __doc__)
    option = parser.add_argument
    option("--data", type=Path, required=True, help="folder of idx files, grey")
    option("--output", type=Path, required=True, help="folder for recipes, runs and results")
    option("--config", type=Path, default=RECIPE, help="recipe of all models")
    option("--attentions", nargs="*", choices=ATTENTIONS, default=list(ATTENTIONS))
    option("--enlarge", type=int, default=4, help="factor; 0 trains no such model")
    option("--epochs", type=int, default=0, help="epochs instead of those of the recipe")
    option("--images", type=int, default=0, help="number of test images; 0 takes all")
    option("--samples", type=int, default=64, help="images that are drawn")
    option("--draws", type=int, default=8, help="of each enlarged image")
    option("--repeats", type=int, default=3, help="times that drawing is timed; 0 times nothing")
    arguments = parser.parse_args(arguments)
    if arguments.samples < COLUMNS:
        parser.error(f"--samples must be at least {COLUMNS}. Received: {arguments.samples}")
    return arguments


if __name__ == "__main__":
    main()
