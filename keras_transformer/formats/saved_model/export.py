"""Export of a translator or text generator to the folder of a SavedModel."""

import dataclasses
import os
import warnings
from pathlib import Path

import keras

from keras_transformer.decoding import BeamSearch
from keras_transformer.forking import refused_after_fork
from keras_transformer.formats import metadata
from keras_transformer.formats.keras_file import copy_model
from keras_transformer.formats.saved_model.continuation import ContinuationEndpoints
from keras_transformer.formats.saved_model.endpoints import Endpoints
from keras_transformer.formats.saved_model.graph_search import (
    ContinuationInGraph,
    SearchInGraph,
    SearchSettings,
)
from keras_transformer.formats.saved_model.warmup import write_warmup
from keras_transformer.io import output_folder
from keras_transformer.text import MarianTokenizer, Tokenizer
from keras_transformer.translation import TextGenerator
from keras_transformer.translation.text_generator import MAX_LENGTH
from keras_transformer.translation.validation import check_limits

FORMAT = "saved_model"
EXTRA = "assets.extra"  # reserved by TensorFlow for files of other programs
GRAPH = "saved_model.pb"
WARMUP = "tf_serving_warmup_requests"
FOLDERS = {"variables", "assets", EXTRA}
FILES = {
    GRAPH,
    "fingerprint.pb",
    "variables/variables.index",
    "variables/variables.data-00000-of-00001",
    f"{EXTRA}/{metadata.NAME}",
    f"{EXTRA}/{WARMUP}",
}
QUANTIZED = ("int8",)


@refused_after_fork
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
    """Writes a SavedModel of strings to strings that needs only TensorFlow and TensorFlow Text.

    That of a translator has two endpoints (signatures). Both take `text`, strings `(N,)`:

    - `translate`, also named `serving_default`, returns `translation`, strings `(N, top_beams)`,
      best first, and `score`, float32 `(N, top_beams)`. Where fewer translations were found, they
      are "" and -inf.
    - `translate_with_attention` returns the best `translation` and its `score`, `(N,)`; `parts`,
      `(N,)`, the number of pieces; `source_tokens` `(N, S)` and `target_tokens` `(N, T)`, strings,
      EOS included, padded with ""; and `attention`, `(N, layers, heads, T, S)`, of the layers
      with cross-attention. Tokens and attention are those of the first piece.

    Translations are those of `Translator.translate`. The translation of an empty text is empty and
    has the score 0. Bytes that are not UTF-8 are read as U+FFFD. An over-long text is split into
    pieces between sentences, else between words, and their translations are joined by spaces. This
    differs from `Translator` in two cases: a word longer than the model's limit is cut at the last
    token that fits, where `Translator` halves it; and the text is split after the tokenizer has
    normalized it, so that characters such as U+FF01 or zero-width spaces may count differently.
    Rarely, a text with repetitions has other ids in a graph (see `Tokenizer`), and then perhaps
    another translation. A text that starts with a language code, such as ">>fra<<", that an
    imported Marian model lacks is an error of the whole request.

    That of a text generator has one, `generate`, also named `serving_default`. It takes `prompt`,
    strings `(N,)`, and returns `text`, strings `(N, top_beams)`, best first, which start with the
    prompt, and `score`, as above. They are those of `TextGenerator.generate`, for prompts of any
    length; where the model has learned positions, a prompt that leaves no room for `max_length`
    tokens is an error of the request.

    The search options are fixed on export, and so is the shortlist of the translator. They are
    written, with special ids and package versions, to `assets.extra/translator.json`. Beside it are
    warm-up requests for TensorFlow Serving, one for every usual shape. The folder is written
    atomically.

    Args:
        translator: A `Translator` or `TextGenerator` with a `Tokenizer`, or a `Translator` that
            was imported by `import_marian`.
        folder: Folder to write, or its URL. It may exist if it is empty or was written by this
            function.
        beam_size: Number of beams; 1 is greedy search.
        top_beams: Number of translations of each text, at most `beam_size`.
        length_penalty: Exponent of the length penalty; 0 compares plain log-probabilities.
        max_length: Maximum tokens of a translation or continuation, EOS included. `None` allows 50
            more than the text has, and 64 of a continuation.
        xla: Whether XLA compiles the search. Each process then compiles every shape once, and is
            faster afterwards. TensorFlow Serving needs `--xla_cpu_compilation_enabled` for it on a
            CPU.
        quantize: `"int8"` reduces the size to a quarter and changes translations slightly. `None`
            keeps the weights.

    Raises:
        FileExistsError: The folder holds something else.
        ImportError: TensorFlow Text is not installed.
        ValueError: An option is out of range, Keras runs on another backend, or the tokenizer
            cannot be part of a graph.

    Example:

    ```python
    export_saved_model(Translator.load("runs/mine"), "mine/1")

    import tensorflow as tf
    import tensorflow_text

    served = tf.saved_model.load("mine/1")
    served.translate(tf.constant(["A dog runs."]))["translation"]  # [[b"Ein Hund rennt."]]
    ```
    """
    is_generator = isinstance(translator, TextGenerator)
    if is_generator and max_length is None:
        max_length = MAX_LENGTH
    settings = SearchSettings(beam_size, top_beams, length_penalty, max_length)
    _check_settings(settings, quantize, translator)
    _check_environment(translator)
    model = translator.model if quantize is None else _quantized(translator.model, quantize)
    make = _continuation_endpoints if is_generator else _translation_endpoints
    endpoints, shapes = make(translator, model, settings, xla)
    fields = {**dataclasses.asdict(settings), "xla": xla, "quantize": quantize}
    shortlist = getattr(translator, "shortlist", None)
    fields |= {} if shortlist is None else {"shortlist_size": shortlist.size}
    with output_folder(folder, is_ours, last=GRAPH) as new:
        _archive(endpoints).write_out(str(new), verbose=False)
        (new / EXTRA).mkdir()
        metadata.write_description(new / EXTRA / metadata.NAME, translator, format=FORMAT, **fields)
        write_warmup(new / EXTRA / WARMUP, translator.tokenizer, shapes, endpoints.INPUT)


def is_ours(folder: Path) -> bool:
    """Returns whether everything in a folder was written by this module."""
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    is_marked = metadata.is_of_format(folder / EXTRA / metadata.NAME, FORMAT)
    return is_marked and names <= FILES | FOLDERS


def _quantized(model, mode: str):
    """Returns a quantized copy of a model."""
    copy = copy_model(model)
    with warnings.catch_warnings():  # Keras warns of every normalization, which it leaves as it is
        warnings.filterwarnings("ignore", "Layer .* does not have a `quantize` method", UserWarning)
        copy.quantize(mode)
    return copy


def _translation_endpoints(translator, model, settings, xla):
    """Returns the endpoints of a translator with a model, and the shapes of its searches."""
    target, longest = translator.target_tokenizer, translator.max_source_length
    ids = target.bos_id, target.eos_id
    search = SearchInGraph(model, *ids, settings, longest, xla, translator.shortlist)
    return Endpoints(translator, search), search.shapes()


def _continuation_endpoints(generator, model, settings, xla):
    """Returns the endpoints of a text generator with a model, and the shapes of its searches."""
    tokenizer, longest = generator.tokenizer, generator.trained_length
    search = ContinuationInGraph(model, tokenizer.bos_id, tokenizer.eos_id, settings, longest, xla)
    return ContinuationEndpoints(generator, search), search.shapes()


def _archive(endpoints) -> keras.export.ExportArchive:
    """Returns an archive of the endpoints, ready to be written."""
    import tensorflow as tf

    archive = keras.export.ExportArchive()
    for tokenizer in endpoints.tokenizers():
        archive.track(tokenizer.in_graph)  # saves the SentencePiece model inside the SavedModel
    text = [tf.TensorSpec((None,), tf.string, name=endpoints.INPUT)]
    for name, function in endpoints.functions().items():
        archive.add_endpoint(name, function, text)
    return archive


def _check_settings(settings, quantize, translator) -> None:
    """Raises ValueError for an option that is out of range."""
    search = {key: value for key, value in vars(settings).items() if key != "max_length"}
    BeamSearch(length=1, bos_id=1, eos_id=2, **search)  # validates them
    check_limits(settings.max_length)
    max_positions = translator.model.max_positions
    if max_positions is not None and (settings.max_length or 0) > max_positions:
        raise ValueError(
            f"`max_length` must be at most {max_positions}, the number of positions that the model "
            f"has learned. Received: {settings.max_length}"
        )
    if quantize is not None and getattr(translator, "shortlist", None) is not None:
        raise ValueError("`quantize` and a shortlist exclude each other: leave one of them out.")
    if quantize not in (None, *QUANTIZED):
        raise ValueError(f"`quantize` must be 'int8' or None. Received: {quantize!r}")


def _check_environment(translator) -> None:
    """Raises an error unless backend, packages and tokenizers allow the export."""
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise ValueError(
            "A SavedModel can only be written with the TensorFlow backend, and this process runs "
            f"on {backend}: save the translator, and export its folder with "
            "`KERAS_BACKEND=tensorflow python -m keras_transformer export --run RUN --output DIR`."
        )
    try:
        import tensorflow_text  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "A SavedModel that takes strings needs the package tensorflow-text, which is not "
            "installed or does not match the version of TensorFlow "
            f"({error}): `pip install tensorflow-text`."
        ) from error
    for tokenizer in (translator.tokenizer, translator.target_tokenizer):
        if not isinstance(tokenizer, Tokenizer | MarianTokenizer):
            raise ValueError(
                "Only SentencePiece tokenizers, `keras_transformer.Tokenizer` and those of "
                "imported Marian models, can be part of a SavedModel. "
                f"Received: {type(tokenizer).__name__}. Call `translator.model.export` to export "
                "the model alone."
            )
