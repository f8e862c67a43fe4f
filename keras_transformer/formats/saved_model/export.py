"""Writes the folder of a SavedModel."""

import dataclasses
import os
import warnings
from pathlib import Path

import keras

from keras_transformer.decoding import BeamSearch
from keras_transformer.formats import metadata
from keras_transformer.formats.keras_file import copy_model
from keras_transformer.formats.saved_model.endpoints import Endpoints
from keras_transformer.formats.saved_model.graph_search import SearchInGraph, SearchSettings
from keras_transformer.formats.saved_model.warmup import write_warmup
from keras_transformer.io import atomic_folder
from keras_transformer.text import Tokenizer
from keras_transformer.translation.validation import check_limits

FORMAT = "saved_model"
EXTRA = "assets.extra"  # where TensorFlow lets others keep files
WARMUP = "tf_serving_warmup_requests"
FOLDERS = {"variables", "assets", EXTRA}
FILES = {
    "saved_model.pb",
    "fingerprint.pb",
    "variables/variables.index",
    "variables/variables.data-00000-of-00001",
    f"{EXTRA}/{metadata.NAME}",
    f"{EXTRA}/{WARMUP}",
}
QUANTIZED = ("int8",)


def export_saved_model(
    translator,
    folder: str | os.PathLike,
    *,
    beam_size: int = 4,
    top_beams: int = 1,
    length_penalty: float = 0.6,
    max_length: int | None = None,
    xla: bool = False,
    quantize: str | None = None,
) -> None:
    """Writes a SavedModel that translates strings, with nothing but TensorFlow and its text ops.

    Endpoints, each for `text`, strings `(N,)`:

    - `translate`, also `serving_default`: `translation`, strings `(N, top_beams)`, best first, and
      `score`, float32 `(N, top_beams)`. Where fewer were found, "" and -inf.
    - `translate_with_attention`: the best `translation` and its `score`, `(N,)`; `parts`, `(N,)`;
      `source_tokens` `(N, S)` and `target_tokens` `(N, T)`, strings, EOS included, then "";
      `attention`, `(N, layers, heads, T, S)`.

    It translates as `Translator.translate` does. An empty text has an empty translation of score 0;
    bytes that are not UTF-8 are read as U+FFFD. An over-long text is cut into `parts` whose
    translations are joined by spaces: between sentences, else words, and within a word longer than
    the model reads at the last token that fits, where `Translator` halves it. The text is cut as
    the tokenizer writes it, so that ends of sentences such as U+FF01 and spaces of no width may
    count otherwise than in `Translator`. Tokens and attention are those of the first part.

    The search's settings cannot be changed afterwards. They are written, with special ids and
    versions of packages, to `assets.extra/translator.json`; beside it are requests that TensorFlow
    Serving warms up with, one for every shape that it will usually meet. The folder appears whole
    or not at all.

    Args:
        translator: A `Translator` with a `Tokenizer`.
        folder: What to write. It may be there if it is empty or was written by this function.
        beam_size: How many beginnings the search goes on with; 1 is greedy search.
        top_beams: How many translations each text gets, at most `beam_size`.
        length_penalty: Strength of the length penalty; 0 compares log-probabilities.
        max_length: The most tokens of a translation, EOS included; `None` allows 50 more than the
            text has.
        xla: Whether XLA compiles the search, once for every shape in every process. Faster after
            that; TensorFlow Serving allows it on a CPU with `--xla_cpu_compilation_enabled`.
        quantize: `"int8"` for a quarter of the size, and slightly other translations.

    Raises:
        FileExistsError: Something else is there.
        ImportError: TensorFlow Text is not installed.
        ValueError: A number makes no sense; Keras runs on another backend; the tokenizer is none
            that a graph can hold.

    Example:

    ```python
    export_saved_model(Translator.load("runs/mine"), "mine/1")

    import tensorflow as tf
    import tensorflow_text

    served = tf.saved_model.load("mine/1")
    served.translate(tf.constant(["A dog runs."]))["translation"]  # [[b"Ein Hund rennt."]]
    ```
    """
    settings = SearchSettings(beam_size, top_beams, length_penalty, max_length)
    _check_settings(settings, quantize, translator)
    _check_surroundings(translator)
    model = translator.model if quantize is None else _quantized(translator.model, quantize)
    target = translator.target_tokenizer
    search = SearchInGraph(
        model, target.bos_id, target.eos_id, settings, translator.max_source_length, xla
    )
    metadata_fields = {**dataclasses.asdict(settings), "xla": xla, "quantize": quantize}
    with atomic_folder(Path(folder), is_ours) as new:
        _archive(Endpoints(translator, search)).write_out(str(new), verbose=False)
        (new / EXTRA).mkdir()
        metadata.write_description(
            new / EXTRA / metadata.NAME, translator, format=FORMAT, **metadata_fields
        )
        write_warmup(new / EXTRA / WARMUP, translator.tokenizer, search.shapes())


def is_ours(folder: Path) -> bool:
    """Whether all that a folder holds was written here."""
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    ours = metadata.is_of_format(folder / EXTRA / metadata.NAME, FORMAT)
    return ours and names <= FILES | FOLDERS


def _quantized(model, mode: str):
    """A copy of a model with small weights."""
    copy = copy_model(model)
    with warnings.catch_warnings():  # normalisations stay as they are, and Keras tells of each
        warnings.filterwarnings("ignore", "Layer .* does not have a `quantize` method", UserWarning)
        copy.quantize(mode)
    return copy


def _archive(served) -> keras.export.ExportArchive:
    import tensorflow as tf

    archive = keras.export.ExportArchive()
    for tokenizer in {served.source_tokenizer, served.target_tokenizer}:
        archive.track(tokenizer.in_graph)  # the model within travels along
    text = [tf.TensorSpec((None,), tf.string, name="text")]
    archive.add_endpoint("translate", served.translate, text)
    archive.add_endpoint("translate_with_attention", served.translate_with_attention, text)
    return archive


def _check_settings(settings, quantize, translator) -> None:
    search = {key: value for key, value in vars(settings).items() if key != "max_length"}
    BeamSearch(length=1, bos_id=1, eos_id=2, **search)  # refuses what makes no sense
    check_limits(settings.max_length)
    learned = translator.model.positions == "learned" and translator.model.max_length
    if learned and (settings.max_length or 0) > learned:
        raise ValueError(
            f"The model has learnt {learned} positions: `max_length` must not be greater. "
            f"Received: {settings.max_length}"
        )
    if quantize not in (None, *QUANTIZED):
        raise ValueError(f"`quantize` must be 'int8' or None. Received: {quantize!r}")


def _check_surroundings(translator) -> None:
    """Whether backend, packages and tokenizers allow it."""
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise ValueError(
            f"A SavedModel is written under TensorFlow, and this process runs on {backend}: save "
            "the translator, and export its folder with `KERAS_BACKEND=tensorflow python -m "
            "keras_transformer export --run RUN --output DIR`."
        )
    try:
        import tensorflow_text  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "A SavedModel of strings needs the package tensorflow-text, which is not installed or "
            f"does not fit this TensorFlow ({error}): `pip install tensorflow-text`."
        ) from error
    for tokenizer in (translator.tokenizer, translator.target_tokenizer):
        if not isinstance(tokenizer, Tokenizer):
            raise ValueError(
                "A SavedModel holds SentencePiece tokenizers, `keras_transformer.Tokenizer`. "
                f"Received: {type(tokenizer).__name__}. Export the model alone, with "
                "`translator.model.export`."
            )
