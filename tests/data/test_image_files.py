"""Images from idx files and PNG files, and what is wrong with them in one line."""

import gzip
import struct
import zlib

import numpy as np
import pytest

from keras_transformer.data.image_files import (
    read_idx,
    read_idx_folder,
    read_png,
    read_png_folder,
)

Image = pytest.importorskip("PIL.Image", reason="PNG files need Pillow")


def idx(array):
    """The bytes of an idx file."""
    return (
        bytes([0, 0, 8, array.ndim])
        + struct.pack(f">{array.ndim}I", *array.shape)
        + (array.astype("uint8").tobytes())
    )


def images(*shape, seed=1):
    return np.random.default_rng(seed).integers(0, 256, shape).astype("uint8")


@pytest.mark.parametrize("shape", [(7,), (3, 5), (2, 3, 5)])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_an_idx_file_comes_back(tmp_path, shape, pack):
    array = images(*shape)
    (tmp_path / "file").write_bytes(pack(idx(array)))
    np.testing.assert_array_equal(read_idx(tmp_path / "file"), array)


def test_a_folder_of_idx_files_has_two_splits(tmp_path):
    train, test, classes = images(5, 4, 3), images(2, 4, 3, seed=2), np.array([3, 0, 9, 1, 1])
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(train)))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(classes))
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx(test))
    found = read_idx_folder(tmp_path, "train")
    np.testing.assert_array_equal(found.images[..., 0], train)
    np.testing.assert_array_equal(found.classes, classes)
    found = read_idx_folder(tmp_path, "test")
    np.testing.assert_array_equal(found.images, test[..., None])
    assert found.classes is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not an idx file of unsigned bytes.* Received: $"),
        (b"\x00\x00\x0d\x01\x00\x00\x00\x01abcd", "Received: 00 00 0d 01"),
        (b"\x00\x00\x08\x03\x00\x00", "is cut short: its sizes are missing"),
        (idx(images(2, 3))[:-1], "must have 6 bytes after its sizes, 2 x 3. Received: 5"),
        (idx(images(2, 3)) + b"x", "Received: 7"),
        (gzip.compress(idx(images(9, 9)))[:-9], "cannot be read"),
        (b"\x00\x00\x08\x04" + b"\xff" * 16, "must have 340,282,366,"),
    ],
)
def test_a_damaged_idx_file_is_told(tmp_path, content, message):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_idx(tmp_path / "file")


def test_folders_that_do_not_fit_are_told(tmp_path):
    with pytest.raises(ValueError, match=r"has no file train-images-idx3-ubyte, plain or \.gz"):
        read_idx_folder(tmp_path, "train")
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(images(5, 4)))
    with pytest.raises(ValueError, match=r"must have three sizes.* Received: 2"):
        read_idx_folder(tmp_path, "train")
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(images(5, 4, 3)))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(images(4)))
    with pytest.raises(ValueError, match="a class for each of the 5 images"):
        read_idx_folder(tmp_path, "train")


def save(path, array, mode=None):
    path.parent.mkdir(exist_ok=True)
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(path)


def test_png_files_in_the_order_of_their_names(tmp_path):
    pixels = images(3, 4, 5, 3)
    for name, one in zip(("b.png", "c.PNG", "a.png"), pixels, strict=True):
        save(tmp_path / name, one)
    (tmp_path / "notes.txt").write_text("no image")
    found = read_png_folder(tmp_path)
    np.testing.assert_array_equal(found.images, pixels[[2, 0, 1]])
    assert found.classes is None


def test_folders_of_grey_png_files_are_classes(tmp_path):
    pixels = images(3, 4, 5)
    for name, one in zip(("dog/1.png", "cat/1.png", "dog/2.png"), pixels, strict=True):
        save(tmp_path / name, one)
    found = read_png_folder(tmp_path)
    np.testing.assert_array_equal(found.images[..., 0], pixels[[1, 0, 2]])
    assert found.classes.tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("P", "a palette"), ("RGBA", "transparency"), ("1", "1 bits"), ("I;16", "16 bits")],
)
def test_other_kinds_of_png_files_are_refused(tmp_path, mode, kind):
    save(tmp_path / "one.png", images(4, 5), mode)
    with pytest.raises(ValueError, match=f"8 bits a channel. Received: an image with {kind}"):
        read_png(tmp_path / "one.png")


def test_what_pillow_would_round_or_forget_is_refused(tmp_path):
    """Colours of 16 bits, and a colour that stands for transparency."""
    header = struct.pack(">IIBBBBB", 3, 1, 16, 2, 0, 0, 0)
    parts = {b"IHDR": header, b"IDAT": zlib.compress(bytes(1 + 3 * 3 * 2)), b"IEND": b""}
    chunks = [
        struct.pack(">I", len(part)) + name + part + struct.pack(">I", zlib.crc32(name + part))
        for name, part in parts.items()
    ]
    (tmp_path / "deep.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    with pytest.raises(ValueError, match="Received: an image with 16 bits"):
        read_png(tmp_path / "deep.png")
    Image.fromarray(images(4, 5, 3)).save(tmp_path / "clear.png", transparency=(0, 0, 0))
    with pytest.raises(ValueError, match="Received: an image with transparency"):
        read_png(tmp_path / "clear.png")


def test_folders_that_hold_no_class_do_not_count(tmp_path):
    for name in (".hidden/1.png", "__MACOSX/1.png", "cat/1.png", "dog/1.png"):
        save(tmp_path / name, images(4, 5))
    (tmp_path / "apes").mkdir()
    assert read_png_folder(tmp_path).classes.tolist() == [0, 1]
    save(tmp_path / "beside.png", images(4, 5))
    with pytest.raises(ValueError, match=r"others beside them, such as beside\.png\. Move those"):
        read_png_folder(tmp_path)


def test_what_is_no_png_file_is_told(tmp_path):
    (tmp_path / "one.png").write_bytes(b"GIF89a")
    with pytest.raises(ValueError, match=r"one.png cannot be read as a PNG file"):
        read_png_folder(tmp_path)
    save(tmp_path / "two.png", images(40, 50))
    (tmp_path / "one.png").write_bytes((tmp_path / "two.png").read_bytes()[:400])
    with pytest.raises(ValueError, match=r"one.png cannot be read as a PNG file"):
        read_png_folder(tmp_path)


def test_images_of_another_size_are_told(tmp_path):
    save(tmp_path / "a.png", images(4, 5, 3))
    save(tmp_path / "b.png", images(4, 6, 3))
    with pytest.raises(ValueError, match=r"b.png must be as large .* 4 x 5 x 3. Received: 4 x 6"):
        read_png_folder(tmp_path)


def test_folders_without_images_are_told(tmp_path):
    with pytest.raises(ValueError, match="has no PNG files"):
        read_png_folder(tmp_path)
    with pytest.raises(ValueError, match="is not a folder of PNG files"):
        read_png_folder(tmp_path / "missing")
