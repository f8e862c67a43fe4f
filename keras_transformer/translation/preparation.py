"""Preparation of a service: all programs that its requests can need, before the first one comes."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from keras_transformer.translation.batch_shapes import (
    EXTRA_LENGTH,
    LENGTHS,
    PLAIN_BATCH,
    batch_sizes,
)
from keras_transformer.translation.batch_shapes import padded_length as padded


class Program(NamedTuple):
    """A program of a `SequenceGenerator`, by its static shapes.

    Attributes:
        kind: "search", "attention" or "log_probs".
        size: Number of rows of the batch.
        length: Padded length of the rows.
        decode_length: Static length of the results of a search.
    """

    kind: str
    size: int
    length: int
    decode_length: int = 0


def search_programs(
    texts: int, longest: int, max_length: int | None, decode_lengths: Callable, workers: int
) -> list[Program]:
    """Returns the searches that any list of up to `texts` sources can need.

    Args:
        texts: Maximum number of sources.
        longest: Maximum number of tokens of a source, EOS included.
        max_length: Maximum number of tokens of a result. `None` means 50 more than the source has.
        decode_lengths: Function of a padded length and `max_length`, of the generator.
        workers: Number of batches that are processed at the same time.

    Example:

    >>> from keras_transformer.translation.batch_shapes import decode_lengths
    >>> for program in search_programs(8, 16, None, decode_lengths, workers=1):
    ...     print(*program)
    search 1 16 32
    search 1 16 66
    search 8 16 32
    search 8 16 66
    """
    programs = []
    for length in padded_lengths(longest):
        limit = max_length or length + EXTRA_LENGTH
        usual, full = decode_lengths(length, limit)
        lengths = [usual] if limit <= usual else [usual, full]
        for size in _sizes(texts, length, None, workers):
            programs += [Program("search", size, length, one) for one in lengths]
    return programs


def pair_programs(kind: str, pairs: int, longest: int, max_positions: int | None) -> list[Program]:
    """Returns the programs for any list of up to `pairs` pairs of a source and a target.

    Args:
        kind: "attention" or "log_probs".
        pairs: Maximum number of pairs.
        longest: Maximum number of tokens of either side, EOS included.
        max_positions: Number of learned positions; `None` if positions are unlimited.
    """
    return [
        Program(kind, size, min(length, max_positions or length))
        for length in padded_lengths(longest)
        for size in _sizes(pairs, length, PLAIN_BATCH)
    ]


def service_programs(
    generator, longest: int, max_length: int | None, texts: int, attention: int, pairs: int
) -> list[Program]:
    """Returns all programs that requests within limits can need.

    Args:
        generator: `SequenceGenerator`.
        longest: Maximum number of tokens of a source, EOS included.
        max_length: Maximum number of tokens of a result. `None` means 50 more than the source has.
        texts: Maximum number of sources that are translated together.
        attention: Maximum number of results whose attention is computed together.
        pairs: Maximum number of pairs that are scored together.
    """
    target = max(longest, max_length or longest + EXTRA_LENGTH)
    return [
        *search_programs(texts, longest, max_length, generator.decode_lengths, generator.workers),
        *pair_programs("attention", attention, target, generator.max_positions),
        *pair_programs("log_probs", pairs, longest, generator.max_positions),
    ]


def padded_lengths(longest: int) -> list[int]:
    """Returns the lengths to which rows of up to `longest` tokens are padded.

    Example:

    >>> padded_lengths(30), padded_lengths(257)
    ([16, 32], [16, 32, 64, 128, 256, 512])
    """
    longer = range(LENGTHS[-1], padded(longest) + 1, LENGTHS[-1])
    return [length for length in LENGTHS[:-1] if length <= padded(longest)] + list(longer)


def _sizes(count: int, length: int, limit: int | None, workers: int = 1) -> list[int]:
    """Returns the batch sizes for any number of rows up to `count`."""
    numbers = range(1, count + 1)
    return sorted({batch_sizes(number, length, limit, workers)[0] for number in numbers})


def compile_all(
    programs: Iterable[Program],
    compile_one: Callable[[Program], None],
    workers: int,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Compiles programs, several at the same time.

    Args:
        programs: The programs.
        compile_one: Function that runs a program once.
        workers: Number of programs that are compiled at the same time.
        progress: Function that is called after each program, with the number of programs that are
            compiled and of all.

    Returns:
        The number of programs.
    """
    programs = sorted(set(programs), key=lambda one: one.size * one.length, reverse=True)
    report = progress or (lambda done, total: None)
    with ThreadPoolExecutor(workers) as pool:
        try:
            for done, _ in enumerate(pool.map(compile_one, programs), start=1):
                report(done, len(programs))
        finally:
            pool.shutdown(cancel_futures=True)  # after Ctrl-C, at once
    return len(programs)
