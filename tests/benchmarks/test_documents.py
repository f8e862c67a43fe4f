"""Documents of which one sentence is marked, and the program that learns to find it."""

import functools

import keras
import numpy as np
import pytest

from benchmarks import documents
from benchmarks.marked_documents import TokenPairs, make_batch, make_document

PAIRS = TokenPairs(
    sources=[[11, 12], [13], [14, 15, 16], [17, 18, 19, 20]],
    targets=[[31], [32, 33], [34], [35, 36, 37]],
    marks=(7, 8),
    bos_id=1,
    eos_id=2,
)


def split(document):
    """The ids before the marks, between them and after them."""
    first, second = document.index(7), document.index(8)
    return document[:first], document[first + 1 : second], document[second + 1 :]


@pytest.mark.parametrize("length", [13, 29, 97])
@pytest.mark.parametrize("sentences", [1, 5, 23])
def test_one_sentence_is_marked_and_its_translation_is_the_target(sentences, length):
    generator, places = np.random.default_rng(3), set()
    for _ in range(50):
        document, translation = make_document(PAIRS, generator, sentences, length)
        before, marked, after = split(document)
        assert translation == PAIRS.targets[PAIRS.sources.index(marked)]
        assert len(document) <= length
        assert after[-1] == PAIRS.eos_id
        assert after.count(PAIRS.eos_id) == 1
        assert not {7, 8} & {*before, *after}
        places.add(len(before))
    assert len(places) > 2 or sentences == 1


def test_a_batch_has_fixed_lengths():
    generator = np.random.default_rng(5)
    inputs, labels = make_batch(PAIRS, generator, 3, 5, 37, 11)
    assert inputs["source"].shape == (3, 37)
    assert inputs["target"].shape == labels.shape == (3, 11)
    assert (inputs["target"][:, 0] == 1).all()
    np.testing.assert_array_equal(inputs["target"][:, 1:][labels[:, :-1] > 2], labels[labels > 2])


def test_few_documents_are_longer_than_their_length():
    generator, length = np.random.default_rng(7), PAIRS.longest(50)
    lengths = [len(make_document(PAIRS, generator, 50, 10_000)[0]) for _ in range(500)]
    assert np.mean(np.array(lengths) > length) < 0.01
    assert length < 1.4 * np.mean(lengths)


def test_what_does_not_fit_is_refused(capsys, tmp_path):
    options = ["--run", str(tmp_path), "--output", str(tmp_path / "new")]
    with pytest.raises(SystemExit):
        documents.main([*options, "--steps", "3"])
    assert "a number for each stage" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="is not a finished run"):
        documents.main(options)
    assert not (tmp_path / "new").exists()


def test_short_batches_stand_between_long_ones(capsys):
    made = []

    def batch(name, rows):
        made.append(name)
        return np.ones((rows, 2), "float32"), np.ones((rows, 1), "float32")

    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.01), "mse")
    kinds = [functools.partial(batch, "long", 1), *[functools.partial(batch, "short", 3)] * 2]
    documents.fit_in_turns(model, kinds, steps=4, report_every=2)
    assert made == ["long", "short", "short"] * 4
    assert int(model.optimizer.iterations) == 12
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("step 2 of 4 - ")
    assert float(second.split("loss: ")[1]) < float(first.split("loss: ")[1])
