"""Making of a lexical shortlist for a translator, from sentence pairs."""

import itertools
from collections.abc import Iterable

import numpy as np

from keras_transformer.decoding.shortlist import SPECIALS, Shortlist
from keras_transformer.text.lexicon import learn_lexicon
from keras_transformer.translation.validation import check_limits_output


def make_shortlist(
    translator,
    pairs: Iterable[tuple[str, str]],
    *,
    candidates: int = 16,
    num_frequent: int = 64,
    size: int = 256,
    max_pairs: int = 200_000,
) -> Shortlist:
    """Learns a shortlist for the tokens of a translator.

    Args:
        translator: `Translator`.
        pairs: Sentences and their translations, as a rule those that the model was trained on.
            Those with more tokens than `max_source_length` on a side are left out.
        candidates: Number of target ids for each source id.
        num_frequent: Number of frequent target ids that every sentence may use.
        size: Number of target ids that a sentence may use altogether.
        max_pairs: Number of pairs to learn from at most: the first ones.

    Returns:
        `Shortlist`.

    Raises:
        ValueError: A number is out of range, there are no pairs, or the model cannot use a
            shortlist.
    """
    vocabulary = translator.target_tokenizer.vocabulary_size()
    least = SPECIALS + num_frequent
    if candidates < 1 or max_pairs < 1 or num_frequent < 0 or size <= least:
        raise ValueError(
            "`candidates` and `max_pairs` must be at least 1, `num_frequent` at least 0, and "
            f"`size` more than `num_frequent` + {SPECIALS}. Received: candidates={candidates}, "
            f"max_pairs={max_pairs}, num_frequent={num_frequent}, size={size}"
        )
    check_limits_output(translator.model)
    sources, targets = _tokenize(translator, list(itertools.islice(pairs, max_pairs)))
    counts = np.bincount([id for row in targets for id in row], minlength=vocabulary)
    frequent = np.argsort(-counts, kind="stable")[:size]
    table = best_candidates(
        learn_lexicon(sources, targets), translator.tokenizer.vocabulary_size(), candidates
    )
    num_frequent = min(num_frequent, len(frequent))
    return Shortlist(np.where(table < 0, frequent[0], table), frequent, num_frequent)


def _tokenize(translator, pairs):
    """Returns the ids of sources and targets, without the pairs that are too long for the model."""
    tokenizers = translator.tokenizer, translator.target_tokenizer
    sides = [
        [[*ids, tokenizer.eos_id] for ids in tokenizer.tokenize([pair[side] for pair in pairs])]
        for side, tokenizer in enumerate(tokenizers)
    ]
    longest = translator.max_source_length
    kept = [pair for pair in zip(*sides, strict=True) if max(map(len, pair)) <= longest]
    if not kept:
        raise ValueError(
            f"`pairs` has no sentence pairs of at most {longest} tokens to learn from. "
            f"Received: {len(pairs)} pairs"
        )
    return tuple(zip(*kept, strict=True))


def best_candidates(lexicon, vocabulary_size: int, count: int) -> np.ndarray:
    """Returns the most probable target ids of each source id, the most probable first.

    Args:
        lexicon: What `learn_lexicon` returned.
        vocabulary_size: Number of source ids.
        count: Number of target ids of each.

    Returns:
        Integer array of shape `(vocabulary_size, count)`; -1 where there are fewer.

    Example:

    >>> lexicon = np.array([0, 0, 2]), np.array([5, 6, 7]), np.array([0.3, 0.7, 1.0])
    >>> best_candidates(lexicon, 3, 2).tolist()
    [[6, 5], [-1, -1], [7, -1]]
    """
    sources, targets, probabilities = lexicon
    order = np.lexsort((-probabilities, sources))
    sources, targets = sources[order], targets[order]
    ranks = np.arange(len(sources)) - np.searchsorted(sources, sources)
    kept = ranks < count
    table = np.full((vocabulary_size, count), -1, "int64")
    table[sources[kept], ranks[kept]] = targets[kept]
    return table
