"""Commands of image models: sheets of what they draw, and the page of an image."""

from pathlib import Path

from keras_transformer.cli.search_commands import progress_bar
from keras_transformer.io import atomic_write, local_path


def sample_images(
    run: str,
    output: str,
    count: int = 32,
    image_class: int | None = None,
    complete: str = "",
    rows: int = 0,
    enlarge: str = "",
    temperature: float = 1.0,
    seed: int = 0,
    columns: int = 8,
    scale: int = 4,
    batch_size: int = 16,
) -> None:
    """Draws images with an image model, and puts them on a sheet, a PNG file.

    Args:
        run: Folder of a finished run of an image model, or its URL, such as s3://bucket/run.
        output: PNG file to write, on a local disk.
        count: Number of images.
        image_class: Class of the images, passed as --class, from 0, of a run with classes. By
            default, all classes in turns.
        complete: PNG file whose first rows are kept, and the rest drawn, once for each image.
        rows: For --complete. Number of rows that are kept; by default, half.
        enlarge: PNG file of a small image, of a run that enlarges images.
        temperature: Below 1 favours probable intensities, above 1 adds variety.
        seed: Seed of the random numbers.
        columns: Images in a row of the sheet.
        scale: Every pixel becomes a square of so many pixels on either side.
        batch_size: Number of images that are drawn at the same time.
    """
    output = local_path(output, "--output")
    _check_output(output)
    if rows and not complete:
        raise ValueError("--rows only applies to --complete: give an image to complete, too.")
    import numpy as np

    from keras_transformer.images import ImageGenerator, make_sheet

    make_sheet(np.zeros((1, 1, 1, 1)), columns, scale)  # validates them before the work
    generator = ImageGenerator.load(run)
    number_of_classes = _check_class(generator, image_class)
    classes = None
    if number_of_classes:
        turns = [number % number_of_classes for number in range(count)]
        classes = turns if image_class is None else image_class
    _check_kind(generator, enlarge)
    begin = small = None
    if complete:
        begin = _repeated("--complete", complete, generator.image_shape, count)
        rows = rows or generator.image_shape[0] // 2
    if enlarge:
        small = _repeated("--enlarge", enlarge, generator.small_shape, count)
    images = generator.generate(
        count,
        classes,
        temperature=temperature,
        seed=seed,
        begin=begin,
        rows=rows,
        small=small,
        batch_size=min(batch_size, count),
        progress=progress_bar(count, "image", least=1),
    )
    levels = generator.model.target_embedding.num_levels
    _write_png(make_sheet(images * 255 // (levels - 1), columns, scale), output)


def illustrate_image(run: str, image: str, image_class: int | None, enlarge: str, seed: int):
    """Returns the page of an image that a run draws, or of the file `image`."""
    from keras_transformer.illustrate import image_page
    from keras_transformer.images import ImageGenerator

    generator = ImageGenerator.load(run)
    _check_kind(generator, enlarge)
    number_of_classes = _check_class(generator, image_class)
    if number_of_classes and image_class is None:
        image_class = 0
    given = small = None
    if image:
        given = _repeated("--image", image, generator.image_shape, 1)[0]
    if enlarge:
        small = _repeated("--enlarge", enlarge, generator.small_shape, 1)[0]
    return image_page(generator, given, image_class, small, seed)


def _check_class(generator, image_class: int | None) -> int:
    """Returns the number of classes; raises a ValueError if there is no such class."""
    count = generator.model.target_embedding.num_classes
    if image_class is not None and not 0 <= image_class < count:
        known = f"0 to {count - 1}" if count else "none"
        raise ValueError(f"The run has the classes {known}. Received: --class {image_class}")
    return count


def _check_kind(generator, enlarge: str) -> None:
    """Raises a ValueError if a small image is missing, or one too many."""
    if bool(enlarge) != (generator.small_shape is not None):
        need = "enlarges images: give it one, --enlarge" if not enlarge else "reads no small images"
        raise ValueError(f"The run {need}. Received: --enlarge {enlarge or 'missing'}")


def _check_output(output: Path) -> None:
    """Raises a ValueError unless a PNG file can be written, and an ImportError without Pillow."""
    from keras_transformer.data.image_files import pillow

    if output.is_dir() or output.suffix.lower() != ".png":
        raise ValueError(f"--output must name a .png file. Received: {output}")
    if not output.parent.is_dir():
        raise ValueError(f"The folder {output.parent} of --output does not exist: create it first.")
    pillow()


def _repeated(option: str, path: str, image_shape: tuple[int, int, int], count: int):
    """Returns the image of a file, once for each image to draw.

    Raises:
        ValueError: It cannot be read, or is not of this shape.
    """
    import numpy as np

    from keras_transformer.data.image_files import read_png

    image = read_png(local_path(path, option))
    if image.shape != image_shape:
        expected, received = (" x ".join(map(str, shape)) for shape in (image_shape, image.shape))
        raise ValueError(
            f"{option} {path} must be as large as the images of the run, {expected} (rows, "
            f"columns, channels). Received: {received}"
        )
    return np.broadcast_to(image, (count, *image.shape))


def _write_png(image, path: Path) -> None:
    from keras_transformer.data.image_files import pillow

    pixels = image[..., 0] if image.shape[-1] == 1 else image
    with atomic_write(path) as scratch:
        pillow().fromarray(pixels.astype("uint8")).save(scratch, format="PNG")
