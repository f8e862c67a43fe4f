"""Pictures from the command line: a sheet, classes, completions, and what is wrong in one line."""

import numpy as np
import pytest

import keras_transformer as kt
from keras_transformer.__main__ import main
from keras_transformer.images import ImageGenerator, make_sheet
from tests.conftest import searches_without_xla
from tests.images.test_generator import LEVELS, SHAPE, make
from tests.weights import randomize

Image = pytest.importorskip("PIL.Image", reason="PNG files need Pillow")


@pytest.fixture(scope="module")
def generator():
    return make(num_classes=3)


@pytest.fixture(scope="module")
def run(generator, tmp_path_factory):
    folder = tmp_path_factory.mktemp("images") / "run"
    generator.save(folder)
    return str(folder)


@pytest.fixture(autouse=True)
def loaded_once(generator, monkeypatch):
    """So that nothing is compiled twice."""
    monkeypatch.setattr(ImageGenerator, "load", lambda folder: generator)


def sheet_of(path):
    return np.asarray(Image.open(path))


def in_256(images):
    return images * 255 // (LEVELS - 1)


@pytest.mark.slow
def test_a_sheet_has_all_classes_in_turns(run, generator, tmp_path):
    output = tmp_path / "sheet.png"
    command = ["sample-images", "--run", run, "--output", str(output), "--count", "5"]
    assert main([*command, "--columns", "3", "--scale", "2", "--seed", "4"]) == 0
    drawn = generator.generate(5, [0, 1, 2, 0, 1], seed=4, batch_size=5)
    np.testing.assert_array_equal(sheet_of(output), make_sheet(in_256(drawn), 3, 2)[..., 0])
    assert main([*command, "--class", "2", "--temperature", "0.5"]) == 0
    drawn = generator.generate(5, 2, temperature=0.5, batch_size=5)
    np.testing.assert_array_equal(sheet_of(output), make_sheet(in_256(drawn), 8, 4)[..., 0])


def save(path, shape):
    Image.fromarray(np.full(shape, 3, "uint8")).save(path)
    return str(path)


@pytest.mark.slow
def test_an_image_is_completed(run, tmp_path):
    output, given = tmp_path / "sheet.png", save(tmp_path / "given.png", SHAPE[:2])
    command = ["sample-images", "--run", run, "--output", str(output), "--count", "5"]
    assert main([*command, "--complete", given, "--scale", "1", "--columns", "5"]) == 0
    sheet = sheet_of(output)
    for left in range(0, 20, 4):
        assert (sheet[:2, left : left + 3] == in_256(np.array(3))).all()
    assert (sheet[2:, :3] != sheet[2:, 4:7]).any()


@pytest.mark.slow
def test_a_small_image_is_enlarged(tmp_path, monkeypatch, capsys):
    sizes = {"num_layers": 1, "d_model": 12, "num_heads": 2, "d_ff": 17, "num_levels": LEVELS}
    model = kt.create_enlarging_model((2, 3, 1), SHAPE, **sizes, attention="full")
    model.build()
    with searches_without_xla():
        generator = ImageGenerator(randomize(model))
    monkeypatch.setattr(ImageGenerator, "load", lambda folder: generator)
    output, given = tmp_path / "sheet.png", save(tmp_path / "small.png", (2, 3))
    command = ["sample-images", "--run", "run", "--output", str(output), "--count", "2"]
    assert main([*command, "--enlarge", given, "--scale", "1"]) == 0
    small = np.full((2, 2, 3, 1), 3)
    drawn = generator.generate(2, small=small, batch_size=2)
    np.testing.assert_array_equal(sheet_of(output), make_sheet(in_256(drawn), 8, 1)[..., 0])
    assert main(command) == 1
    assert "The run enlarges images: give it one, --enlarge." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--output sheet.jpg", "--output must name a .png file. Received: sheet.jpg"),
        ("--output none/sheet.png", "The folder none of --output does not exist"),
        ("--output sheet.png --class 3", "The run has the classes 0 to 2. Received: --class 3"),
        ("--output sheet.png --class -1", "Received: --class -1"),
        ("--output sheet.png --rows 2", "--rows only applies to --complete"),
        ("--output sheet.png --complete other.png", "must be as large as the images of the run, "
         "4 x 3 x 1 (rows, columns, channels). Received: 5 x 3 x 1"),
        ("--output sheet.png --complete none.png", "none.png cannot be read as a PNG file"),
        ("--output sheet.png --complete given.png --rows 4", "fewer than those of an image, 4"),
        ("--output sheet.png --temperature 0", "temperature=0.0"),
        ("--output sheet.png --enlarge given.png", "reads no small images. Received: --enlarge g"),
        ("--output sheet.png --count 0", "Received: count=0"),
        ("--output sheet.png --columns 0", "Received: columns=0, scale=4, gap=1"),
    ],
)  # fmt: skip
def test_one_line_says_what_is_wrong(run, tmp_path, options, message, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "given.png", SHAPE[:2])
    save(tmp_path / "other.png", (5, 3))
    assert main(["sample-images", "--run", run, *options.split()]) == 1
    errors = capsys.readouterr().err
    assert message in errors
    assert len(errors.splitlines()) == 1
    assert not (tmp_path / "sheet.png").exists()


@pytest.mark.slow
def test_an_image_is_illustrated(run, generator, tmp_path):
    output = tmp_path / "page.html"
    command = ["illustrate", "--run", run, "--output", str(output)]
    assert main([*command, "--image", save(tmp_path / "image.png", SHAPE[:2]), "--class", "1"]) == 0
    assert "reads this image as if it drew it, as one of class 1." in output.read_text()
    assert main([*command, "--seed", "3"]) == 0
    assert "drew this image with the seed 3, as one of class 0." in output.read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("one", "draws images. Received: text"),
        ("one --beam-size 3", "draws images. Received: text, --beam-size"),
        ("--class 3", "The run has the classes 0 to 2. Received: --class 3"),
        ("--image missing.png", "missing.png"),
        ("--enlarge small.png", "The run reads no small images. Received: --enlarge small.png"),
    ],
)
def test_an_image_has_other_options_than_a_sentence(run, options, message, tmp_path, capsys):
    output = tmp_path / "page.html"
    command = ["illustrate", "--run", run, "--output", str(output), *options.split()]
    assert main(command) == 1
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert not output.exists()
