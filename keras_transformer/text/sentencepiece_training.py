"""Training of a SentencePiece model on a stream of sentences."""

import contextlib
import io
import numbers
import random
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import sentencepiece
from sentencepiece.sentencepiece_model_pb2 import ModelProto

from keras_transformer.text.normalization import write_rules
from keras_transformer.text.tags import tag_of

SPECIAL_IDS = {"pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3}
MODEL_TYPES = ("unigram", "bpe")
NORMALIZATIONS = ("nfc", "nmt_nfkc", "identity")
_LOG_ERRORS_ONLY = 2  # log level of SentencePiece


def train_model(
    sentences: Iterable[str],
    vocabulary_size: int,
    *,
    model_type: str,
    normalization: str,
    byte_fallback: bool,
    character_coverage: float,
    max_sentences: int,
    tags: Sequence[str],
    seed: int,
) -> bytes:
    """Trains a SentencePiece model. The arguments are those of `Tokenizer.train`.

    Returns:
        The model, a serialized `ModelProto`.
    """
    _check_numbers(vocabulary_size, character_coverage)
    _check_choice("model_type", model_type, MODEL_TYPES)
    _check_choice("normalization", normalization, NORMALIZATIONS)
    if isinstance(sentences, str):
        raise TypeError("`sentences` must be an iterable of sentences, not one string.")
    sample = reservoir_sample(map(utf8, sentences), max_sentences, seed)
    model = io.BytesIO()
    try:
        with _normalization_options(normalization) as options:
            sentencepiece.SentencePieceTrainer.Train(
                sentence_iterator=iter(sample),
                model_writer=model,
                vocab_size=vocabulary_size,
                model_type=model_type,
                byte_fallback=byte_fallback,
                character_coverage=character_coverage,
                minloglevel=_LOG_ERRORS_ONLY,
                user_defined_symbols=[tag_of(tag) for tag in tags],
                **options,
                **SPECIAL_IDS,
            )
    except RuntimeError as error:
        raise _training_error(str(error), vocabulary_size, len(sample)) from None
    proto = ModelProto.FromString(model.getvalue())
    proto.normalizer_spec.name = normalization
    proto.normalizer_spec.ClearField("normalization_rule_tsv")  # the name of a temporary file
    return proto.SerializeToString()


@contextlib.contextmanager
def _normalization_options(name: str) -> Iterator[dict]:
    """Yields the options of SentencePiece's trainer for a normalization."""
    if name != "nfc":
        yield {"normalization_rule_name": name, "remove_extra_whitespaces": name != "identity"}
        return
    with tempfile.TemporaryDirectory() as folder:  # SentencePiece reads rules from a file
        path = Path(folder) / "nfc.tsv"
        write_rules(path)
        yield {"normalization_rule_tsv": str(path)}


def reservoir_sample(sentences: Iterable, size: int, seed: int) -> list:
    """Samples up to `size` sentences uniformly from a stream (reservoir sampling).

    The stream is read once, and memory holds `size` sentences. A stream of at most `size`
    sentences is returned whole and in order.

    Example:

    >>> reservoir_sample(["a", "b", "c"], size=5, seed=0)
    ['a', 'b', 'c']
    """
    if size < 1:
        raise ValueError(f"`max_sentences` must be at least 1. Received: {size}")
    generator = random.Random(seed)
    sample = []
    for count, sentence in enumerate(sentences, start=1):
        if count <= size:
            sample.append(sentence)
        elif (index := generator.randrange(count)) < size:
            sample[index] = sentence
    return sample


def utf8(text: str) -> bytes:
    """Encodes a string as UTF-8, including lone surrogates.

    Bytes decoded with `errors="surrogateescape"` are restored. SentencePiece reads every invalid
    byte as U+FFFD.
    """
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
    except AttributeError:
        raise TypeError(f"Text must be a `str`. Received: {type(text).__name__}") from None


def _check_numbers(vocabulary_size: int, character_coverage: float) -> None:
    least = len(SPECIAL_IDS) + 1
    if not isinstance(vocabulary_size, numbers.Integral) or vocabulary_size < least:
        raise ValueError(
            f"`vocabulary_size` must be an integer, at least {least}: the special ids and more. "
            f"Received: {vocabulary_size!r}"
        )
    if not 0.98 <= character_coverage <= 1:
        raise ValueError(
            "`character_coverage` must be between 0.98 and 1, as SentencePiece requires. Received: "
            f"{character_coverage}"
        )


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"`{name}` must be one of {', '.join(choices)}. Received: {value!r}")


def _training_error(message: str, vocabulary_size: int, sentences: int) -> Exception:
    """Translates an error of the SentencePiece trainer into an actionable message."""
    if found := re.search(r"Vocabulary size too high .*<= (\d+)", message):
        return ValueError(
            f"`vocabulary_size` is larger than these {sentences} sentences allow: received "
            f"{vocabulary_size}, the largest possible is {found[1]}. Request fewer ids or provide "
            "more text."
        )
    if found := re.search(r"smaller than required_chars\. \d+ vs (\d+)", message):
        return ValueError(
            f"`vocabulary_size` is too small for the special ids, bytes and characters of these "
            f"{sentences} sentences: received {vocabulary_size}, the smallest possible is "
            f"{found[1]}. Request more ids, or lower `character_coverage`."
        )
    if "sentences_.empty()" in message or "all_chars_count" in message:
        return ValueError(
            f"None of the {sentences} sentences received has text that SentencePiece can train on. "
            "Expected sentences that are not empty, of at most 4192 bytes each. Provide more text."
        )
    return ValueError(f"SentencePiece could not train on {sentences} sentences: {message.strip()}")
