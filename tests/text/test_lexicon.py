from collections import defaultdict
from itertools import product

import numpy as np
import pytest

from keras_transformer.text import lexicon
from keras_transformer.text.lexicon import learn_lexicon


def by_the_definition(sources, targets, iterations):
    """IBM Model 1, pair by pair."""
    table = defaultdict(lambda: 1.0)
    for _ in range(iterations):
        counts, totals = defaultdict(float), defaultdict(float)
        for source, target in zip(sources, targets, strict=True):
            for word in target:
                total = sum(table[one, word] for one in source)
                for one in source:
                    counts[one, word] += table[one, word] / total
                    totals[one] += table[one, word] / total
        table = {pair: count / totals[pair[0]] for pair, count in counts.items()}
    return table


@pytest.fixture
def sentences():
    """Pairs in which token t is translated by t + 20, in any order, with a word too much."""
    generator = np.random.default_rng(5)
    sources = [generator.integers(3, 17, generator.integers(1, 8)).tolist() for _ in range(41)]
    targets = [[*generator.permutation(np.array(row) + 20).tolist(), 40] for row in sources]
    return [[*row, 2] for row in sources], targets


@pytest.mark.parametrize("chunk", [10_000, 7])
def test_probabilities_are_those_of_the_definition(sentences, chunk, monkeypatch):
    monkeypatch.setattr(lexicon, "CHUNK", chunk)
    sources, targets, probabilities = learn_lexicon(*sentences, iterations=3)
    expected = by_the_definition(*sentences, iterations=3)
    assert expected.keys() == set(zip(sources.tolist(), targets.tolist(), strict=True))
    for source, target, probability in zip(sources, targets, probabilities, strict=True):
        assert probability == pytest.approx(expected[source, target], abs=1e-9)
    assert (np.diff(sources) >= 0).all()


def test_words_find_their_translations(sentences):
    sources, targets, probabilities = learn_lexicon(*sentences)
    for word in range(3, 17):
        own = sources == word
        assert targets[own][probabilities[own].argmax()] == word + 20
        assert probabilities[own].sum() == pytest.approx(1)
    nothing = sources == 2  # what no word explains goes to EOS
    assert targets[nothing][probabilities[nothing].argmax()] == 40


def test_an_empty_side_teaches_nothing(sentences):
    sources, targets = sentences
    known = learn_lexicon(sources, targets)
    more = learn_lexicon([*sources, [], [3]], [*targets, [23], []])
    for one, other in zip(known, more, strict=True):
        np.testing.assert_array_equal(one, other)


def test_every_pair_of_ids_has_its_own_number():
    large = 70_000
    sources, targets, _ = learn_lexicon([[large, 1]], [[large - 1, large]])
    assert set(zip(sources.tolist(), targets.tolist(), strict=True)) == set(
        product([large, 1], [large - 1, large])
    )
