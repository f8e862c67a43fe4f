"""Languages to search: random ones, whose next token depends on all that is written, and tables.

The length penalties are those of no penalty, the paper's, and stronger ones.
"""

import copy
import functools
import itertools

import numpy as np
import pytest
from hypothesis import strategies as st
from keras import ops

from keras_transformer import beam_search
from keras_transformer.decoding.beam_search import BeamSearch
from keras_transformer.decoding.continuous_batching import continuous_beam_search
from keras_transformer.decoding.hypotheses import Hypotheses
from tests import reference

PAD, BOS, EOS = 0, 1, 2
PENALTIES = (0.0, 0.6, 1.0, 2.0)
ROWS = 1009
WIDE = 61
UNREAD = 499  # in the memory where nothing was written
LIMITS = [13, 1, 7, 13, 3, 11, 2, 13, 5, 8, 13, 4, 10]
LONGEST = {3: 7, 4: 6, 5: 4}  # sentences of each vocabulary: WIDE beams hold all candidates


class Language:
    """Random probabilities of the next token for B sentences, by all that is written so far.

    `step` keeps a number of every slot at every place, as a cache does, and finds what a beam has
    written by the ancestry alone. `log_probs` says the same of a list.
    """

    def __init__(self, seed, batch, length, vocabulary_size, bos_id=BOS, change=None):
        generator = np.random.default_rng(seed)
        self.bos_id, self.length = bos_id, length
        self.starts = generator.integers(0, ROWS, batch).astype("int32")
        self.numbers = generator.integers(0, ROWS, (length, vocabulary_size)).astype("int32")
        self.logits = generator.normal(0, 2, (ROWS, vocabulary_size)).astype("float32")
        if change is not None:
            change(self.logits)

    def state(self, places, beam_size):
        """A memory in which nothing may be read yet, and what the sentences start with."""
        memory = ops.full((len(self.starts), places, beam_size), UNREAD, "int32")
        return memory, ops.convert_to_tensor(self.starts)

    def step(self, tokens, index, ancestry, state):
        """For `beam_search`, where every sentence stands at the same position."""
        return self.turn(tokens, ops.broadcast_to(index, tokens.shape[:1]), index, ancestry, state)

    def turn(self, tokens, positions, place, ancestry, state):
        """For `continuous_beam_search`; a finished sentence may stand behind the last position."""
        memory, starts = state
        places = positions * self.numbers.shape[1]
        numbers = ops.take(self.numbers, places[:, None] + tokens)
        memory = ops.slice_update(memory, (0, place, 0), numbers[:, None])
        written = ops.sum(ops.where(ancestry, memory[:, None], 0), axis=(2, 3))
        rows = (starts[:, None] + written) % ROWS
        return ops.take(self.logits, rows, axis=0), (memory, starts)

    def load(self, numbers, state):
        return state[0], ops.take(self.starts, ops.minimum(numbers, len(self.starts) - 1))

    def log_probs(self, sentence):
        """The function of lists of tokens that `tests/reference.py` searches."""
        logits = self.logits.astype("float64")
        table = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))

        def of_next(tokens):
            numbers = [self.numbers[t, token] for t, token in enumerate([self.bos_id, *tokens])]
            return table[(self.starts[sentence] + sum(numbers)) % ROWS].tolist()

        return of_next

    def of(self, sentences):
        """The same language for some of the sentences, in some order."""
        other = copy.copy(self)
        other.starts = self.starts[sentences]
        return other


def search(language, limits, step=None, beam_size=4, eos_id=EOS, **options):
    """`beam_search` from NumPy to NumPy."""
    state = language.state(language.length, beam_size)
    found = beam_search(
        step or language.step, state, np.asarray(limits, "int32"), length=language.length,
        bos_id=language.bos_id, eos_id=eos_id, beam_size=beam_size, **options,
    )  # fmt: skip
    return Hypotheses(*map(ops.convert_to_numpy, found))


def search_in_turns(language, limits, slots, step=None, length=None, **options):
    """`continuous_beam_search` with room for `length` tokens; tensors."""
    search = BeamSearch(length or language.length, language.bos_id, EOS, **options)
    state = language.of([0] * slots).state(search.length, search.beam_size)
    return continuous_beam_search(
        search, step or language.turn, language.load, state, limits, slots
    )


def table_search(table, limits, steps=None, length=11, find=beam_search, **options):
    """Searches where the next token depends on the last one, by a table of probabilities.

    `find` is the search, `steps` is filled with the indices of the steps that were taken.
    """
    with np.errstate(divide="ignore"):
        logits = np.log(np.asarray(table, "float32"))

    def step(tokens, index, ancestry, state):
        if steps is not None:
            steps.append(int(index))
        return ops.take(logits, tokens, axis=0), state

    options = {"bos_id": BOS, "eos_id": EOS, **options}
    found = find(step, (), np.asarray(limits, "int32"), length=length, **options)
    return Hypotheses(*map(ops.convert_to_numpy, found))


def table_of(size=7, **rows):
    """Probabilities: `_4={5: 0.5}` means that 5 follows 4 half of the time."""
    table = np.zeros((size, size))
    for name, row in rows.items():
        for token, probability in row.items():
            table[int(name[1:]), token] = probability
    return table


def chain(*tokens):
    """Probabilities that make each of the tokens follow the one before, most of the time."""
    table = np.full((7, 7), 0.01)
    for one, other in itertools.pairwise(tokens):
        table[one, other] = 0.94
    return table


def rare_ends(logits):
    logits[:, EOS] -= 1.5


def hypotheses(found, sentence, pad_id=PAD):
    """Those of one sentence that exist, as `tests/reference.py` writes them."""
    assert found.ids.dtype == np.int32
    assert found.finished.dtype == bool
    assert not any(np.isnan(numbers).any() for numbers in found[1:3])
    rows = []
    for ids, log_prob, score, finished in zip(*(of_all[sentence] for of_all in found), strict=True):
        tokens = ids[ids != pad_id].tolist()
        assert ids.tolist() == tokens + [pad_id] * (len(ids) - len(tokens))
        if score > -np.inf:
            rows.append((score, log_prob, tokens, finished))
        else:
            assert (log_prob, tokens, finished) == (-np.inf, [], False)
    assert (found.scores[sentence, len(rows) :] == -np.inf).all()
    assert len({tuple(tokens) for _, _, tokens, _ in rows}) == len(rows)
    return rows


def assert_same(found, wanted, same_ids=True):
    """Equal hypotheses; of two that are as good as each other, either may come first."""
    assert len(found) == len(wanted)
    for (score, log_prob, tokens, finished), other in zip(found, wanted, strict=True):
        assert score == pytest.approx(other[0], abs=2e-5)
        assert not same_ids or (tokens, finished) == other[2:]
        assert not same_ids or log_prob == pytest.approx(other[1], abs=2e-5)


def forced(log_probs, tokens):
    """The log-probability of a sentence that is given."""
    return sum(log_probs(tokens[:t])[token] for t, token in enumerate(tokens))


def allowing(pad_id, eos_id, **rules):
    return functools.partial(reference.follows_rules, pad_id=pad_id, eos_id=eos_id, **rules)


def filled(rows, pad_id=PAD):
    width = max(1, *map(len, rows))
    return np.array([[*row, *[pad_id] * (width - len(row))] for row in rows], "int32")


@st.composite
def small_languages(draw, batch=7):
    """A language of which all sentences can be listed, its special ids, limits and a penalty."""
    vocabulary_size = draw(st.sampled_from(sorted(LONGEST)))
    pad_id, bos_id, eos_id = draw(st.permutations(range(vocabulary_size)))[:3]
    length = LONGEST[vocabulary_size]
    language = Language(draw(st.integers(0, 9999)), batch, length, vocabulary_size, bos_id)
    limits = draw(st.lists(st.integers(1, length), min_size=batch, max_size=batch))
    return language, pad_id, eos_id, limits, draw(st.sampled_from(PENALTIES))
