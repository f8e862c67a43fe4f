"""Validation of the arguments of `Translator`, `TextGenerator` and their methods."""

import contextlib
import operator
from collections.abc import Iterable, Iterator, Mapping

from keras_transformer.decoding import Sampling
from keras_transformer.decoding.latent_search import has_latents
from keras_transformer.decoding.shortlist import Shortlist
from keras_transformer.layers import PositionalEmbedding
from keras_transformer.translation.batch_shapes import EXTRA_LENGTH, padded_length

MAX_TOKENS = 1_000_000  # of a translation; more would not fit into memory and is surely a typo


def as_integer(name: str, number) -> int:
    """Converts a number of any integer type to `int`.

    Args:
        name: Name of the argument, for the error message.
        number: Integer of Python, NumPy or another library.

    Raises:
        TypeError: If `number` is not an integer, such as 2.5 or "4".
    """
    try:
        return operator.index(number)
    except TypeError:
        raise TypeError(f"`{name}` must be an integer. Received: {number!r:.80}") from None


def check_limits(max_length: int | None, min_length: int = 0) -> None:
    """Validates the length limits of translations.

    Raises:
        ValueError: If a limit is out of range.
        TypeError: If a limit is not an integer.
    """
    if max_length is not None and as_integer("max_length", max_length) < 1:
        raise ValueError(
            f"`max_length` must be at least 1, since it includes EOS. Received: {max_length}"
        )
    if (max_length or 0) > MAX_TOKENS:
        raise ValueError(f"`max_length` must be at most {MAX_TOKENS:,}. Received: {max_length}")
    if not 0 <= as_integer("min_length", min_length) <= (max_length or MAX_TOKENS):
        raise ValueError(
            "`min_length` must be at least 0 and at most `max_length`. "
            f"Received: min_length={min_length}, max_length={max_length}"
        )


def check_sampling(sampling) -> None:
    """Validates the types of sampling options.

    Raises:
        TypeError: If `sampling` is not a `Sampling`, or its `top_k` is not an integer.
    """
    if not isinstance(sampling, Sampling):
        raise TypeError(
            "`sampling` must be a `Sampling`, such as Sampling(temperature=0.7). "
            f"Received: {sampling!r:.80}"
        )
    as_integer("top_k", sampling.top_k)


def as_strings(name: str, texts: Iterable[str]) -> list[str]:
    """Converts an iterable of strings to a list.

    Args:
        name: Name of the argument, for the error message.
        texts: Iterable of strings.

    Raises:
        TypeError: If `texts` is a single string, a mapping or not iterable, or an item is not a
            string.
    """
    result = None
    if not isinstance(texts, str | Mapping):
        with contextlib.suppress(TypeError):  # raised if `texts` is not iterable
            result = list(texts)
    if result is None or any(not isinstance(text, str) for text in result):
        raise TypeError(
            f"`{name}` must be a list of strings, one per text. Received: {texts!r:.80}"
        )
    return result


def as_iterator(name: str, items: Iterable) -> Iterator:
    """Returns an iterator of items that are validated later, one by one.

    Raises:
        TypeError: If `items` is a single string, a mapping or not iterable.
    """
    if isinstance(items, str | bytes | Mapping) or not isinstance(items, Iterable):
        raise TypeError(f"`{name}` must be an iterable, such as a list. Received: {items!r:.80}")
    return iter(items)


def check_vocabularies(model, tokenizer, target_tokenizer) -> None:
    """Checks that the ids of the tokenizers are those of the model.

    Raises:
        ValueError: If a tokenizer has more ids than the model, or another padding id.
    """
    target_size = model.target_vocabulary_size or model.vocabulary_size
    for side, model_size, tokenizer_size in (
        ("source", model.vocabulary_size, tokenizer.vocabulary_size()),
        ("target", target_size, target_tokenizer.vocabulary_size()),
    ):
        if model_size < tokenizer_size:
            raise ValueError(
                f"The {side} tokenizer has {tokenizer_size} ids, but the model's {side} vocabulary "
                f"has {model_size}: use the tokenizer that the model was trained with."
            )

    pad_ids = {model.pad_id, tokenizer.pad_id, target_tokenizer.pad_id}
    if len(pad_ids) > 1:
        raise ValueError(
            "Model and tokenizers must have the same padding id; otherwise, the model would attend "
            f"to padding. Received: model {model.pad_id}, source {tokenizer.pad_id}, target "
            f"{target_tokenizer.pad_id}"
        )


def check_shortlist(model, shortlist, tokenizer) -> None:
    """Checks that a search of a model can use a shortlist.

    Args:
        model: The model.
        shortlist: `Shortlist`, or `None` for none.
        tokenizer: Tokenizer of the source.

    Raises:
        TypeError: If `shortlist` is no `Shortlist`.
        ValueError: If the model cannot use one, or the shortlist is for other ids.
    """
    if shortlist is None:
        return
    if not isinstance(shortlist, Shortlist):
        raise TypeError(
            "`shortlist` must be a `Shortlist`, such as `make_shortlist` returns. "
            f"Received: {shortlist!r:.80}"
        )
    check_limits_output(model)
    target_size = model.target_vocabulary_size or model.vocabulary_size
    largest = max(shortlist.candidates.max(), shortlist.frequent.max())
    if len(shortlist.candidates) != tokenizer.vocabulary_size() or largest >= target_size:
        raise ValueError(
            f"The shortlist is for {len(shortlist.candidates)} source ids and more than {largest} "
            f"target ids, but there are {tokenizer.vocabulary_size()} and {target_size}. Make a "
            "shortlist for this model and tokenizer."
        )


def check_limits_output(model) -> None:
    """Raises a ValueError if the output layer of a model cannot be limited to some ids."""
    embedding = model.target_embedding
    reason = None
    if has_latents(model):
        reason = "a model that finds all words at once"
    elif not isinstance(embedding, PositionalEmbedding) or (
        type(embedding).logits is not PositionalEmbedding.logits
    ):
        reason = f"an output layer of its own, {type(embedding).__name__}"
    elif embedding.tokens.quantization_mode is not None:
        reason = f"a model quantized to {embedding.tokens.quantization_mode}"
    if reason is not None:
        raise ValueError(
            "A shortlist needs a model that finds one word after the other, whose output layer is "
            f"its embedding, not quantized. Received: {reason}"
        )


def check_tags(tokenizer, text: str, name: str) -> None:
    """Raises a ValueError if a text asks for a language that the tokenizer knows to be missing.

    Args:
        tokenizer: Tokenizer of the source; those without a method `check_tags` know of none.
        text: The text.
        name: What the text is, for the error message.
    """
    check = getattr(tokenizer, "check_tags", None)
    if check is not None:
        check(text, name)


def check_positions(model, longest: int, remedy: str) -> None:
    """Raises a ValueError if texts are longer than the learned positions of a model."""
    limit = model.max_positions
    if limit is not None and longest > limit:
        raise ValueError(
            f"The model has learned {limit} positions, but {longest} are needed. {remedy}"
        )


def check_lengths(model, max_source_length: int) -> None:
    """Validates the maximum source length.

    Raises:
        ValueError: If `max_source_length` is less than 2, or the model has too few learned
            positions.
    """
    if max_source_length < 2:
        raise ValueError(
            "`max_source_length` must be at least 2, one token and EOS. "
            f"Received: {max_source_length}"
        )
    longest = padded_length(max_source_length) + EXTRA_LENGTH
    if model.max_positions is not None and longest > model.max_positions:
        raise ValueError(
            f"The model has learned {model.max_positions} positions, but sources of up to "
            f"{max_source_length} tokens need {longest}. Lower `max_source_length` (--max-length), "
            "or train a model with sinusoidal positions."
        )
