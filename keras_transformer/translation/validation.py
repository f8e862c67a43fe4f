"""Validates the arguments of `Translator` and of its `translate`."""

import contextlib
import operator
from collections.abc import Iterable, Mapping

from keras_transformer.decoding import Sampling
from keras_transformer.translation.batch_shapes import EXTRA_LENGTH, padded_length

MOST = 1_000_000  # tokens: more is a slip, and far more than there is memory for


def whole(name: str, number) -> int:
    """A number as an integer of Python's.

    Raises:
        TypeError: It is none, such as 2.5 or "4".
    """
    try:
        return operator.index(number)
    except TypeError:
        raise TypeError(f"`{name}` must be an integer. Received: {number!r:.80}") from None


def check_limits(max_length: int | None, min_length: int = 0) -> None:
    """Raises ValueError or TypeError if translations cannot have such lengths."""
    if max_length is not None and whole("max_length", max_length) < 1:
        raise ValueError(f"`max_length` must be at least 1, for EOS. Received: {max_length}")
    if (max_length or 0) > MOST:
        raise ValueError(f"`max_length` must be at most {MOST:,}. Received: {max_length}")
    if not 0 <= whole("min_length", min_length) <= (max_length or MOST):
        raise ValueError(
            "`min_length` must be at least 0 and at most `max_length`. "
            f"Received: min_length={min_length}, max_length={max_length}"
        )


def check_sampling(sampling) -> None:
    """Raises TypeError if it is no `Sampling`, or one whose `top_k` is no integer."""
    if not isinstance(sampling, Sampling):
        raise TypeError(
            "`sampling` must be a `Sampling`, such as Sampling(temperature=0.7). "
            f"Received: {sampling!r:.80}"
        )
    whole("top_k", sampling.top_k)


def strings(name: str, texts: Iterable[str]) -> list[str]:
    """A list of texts.

    Raises:
        TypeError: They are one text, a mapping, no texts, or cannot be gone through.
    """
    found = None
    if not isinstance(texts, str | Mapping):
        with contextlib.suppress(TypeError):  # one that cannot be gone through
            found = list(texts)
    if found is None or any(not isinstance(text, str) for text in found):
        raise TypeError(
            f"`{name}` must be a list of strings, one text each. Received: {texts!r:.80}"
        )
    return found


def check_vocabularies(model, tokenizer, target_tokenizer) -> None:
    """Raises ValueError if the model lacks ids of a tokenizer, or another id pads."""
    target_size = model.target_vocabulary_size or model.vocabulary_size
    for side, size, known in (
        ("source", model.vocabulary_size, tokenizer.vocabulary_size()),
        ("target", target_size, target_tokenizer.vocabulary_size()),
    ):
        if size < known:
            raise ValueError(
                f"The {side} tokenizer has {known} ids, but the model's {side} vocabulary has "
                f"{size}: use the tokenizer that the model was trained with."
            )

    pads = {model.pad_id, tokenizer.pad_id, target_tokenizer.pad_id}
    if len(pads) > 1:
        raise ValueError(
            "Model and tokenizers must pad with the same id, or padding would be read. Received: "
            f"model {model.pad_id}, source {tokenizer.pad_id}, target {target_tokenizer.pad_id}"
        )


def check_lengths(model, max_source_length: int) -> None:
    """Raises ValueError if no token fits, or the model has learnt too few positions."""
    if max_source_length < 2:
        raise ValueError(
            "`max_source_length` must be at least 2, a token and the end. "
            f"Received: {max_source_length}"
        )
    longest = padded_length(max_source_length) + EXTRA_LENGTH
    if model.positions == "learned" and longest > model.max_length:
        raise ValueError(
            f"The model has learnt {model.max_length} positions, but sources of up to "
            f"{max_source_length} tokens need {longest}. Lower `max_source_length` (--max-length), "
            "or use sinusoids."
        )
