"""Documents of text files, and their tokens in packed rows: nothing is lost, nothing leaks."""

import gzip

import numpy as np
import pytest

from keras_transformer import Tokenizer
from keras_transformer.data import TextBatches, TextFile, TextPieces

TEXTS = [
    "the cat sat on the mat and the dog lay under the table in the long dark hall",
    "a dog barked",
    "the end",
    "one two three four five six seven eight nine ten eleven twelve",
] * 5
LENGTH = 11


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.train(TEXTS, 300, model_type="bpe")


@pytest.fixture(scope="module")
def batches(tokenizer):
    return TextBatches(TextPieces(TEXTS, tokenizer, LENGTH), 5 * LENGTH, LENGTH, seed=3)


def pieces_of(batch):
    """The (inputs, labels) of each segment of a batch, as tuples."""
    inputs, labels = batch
    for row in range(len(labels)):
        segments = inputs["target_segments"][row]
        for number in range(1, segments.max() + 1):
            own = segments == number
            positions = inputs["target_positions"][row][own]
            assert positions.tolist() == list(range(own.sum()))
            yield tuple(inputs["target"][row][own]), tuple(labels[row][own])
        assert (labels[row][segments == 0] == 0).all()


def test_every_token_of_every_document_is_a_label_once(tokenizer, batches):
    found = sorted(p for batch in batches.each_once().as_numpy_iterator() for p in pieces_of(batch))
    expected, cut = [], 0
    for ids in tokenizer.tokenize(TEXTS):
        labels = [*ids, tokenizer.eos_id]
        inputs = [tokenizer.bos_id, *ids]
        for start in range(0, len(labels), LENGTH):
            end, cut = start + LENGTH, cut + (start > 0)
            expected.append((tuple(inputs[start:end]), tuple(labels[start:end])))
    assert found == sorted(expected)
    assert cut > 5


def test_an_epoch_has_every_piece_once_and_goes_on_where_it_was_left(batches):
    (shape,) = batches.shapes
    steps = 2 * len(batches._rows)  # as many rows as an epoch has, `batch_size` times two epochs
    stream = [batches.batch(*batches.locate(step)) for step in range(steps)]
    assert all(labels.shape == (shape.batch_size, LENGTH) for _, labels in stream)
    pieces = [piece for batch in stream for piece in pieces_of(batch)]
    counts = np.unique(sorted(map(str, pieces)), return_counts=True)[1]
    once = [p for batch in batches.each_once().as_numpy_iterator() for p in pieces_of(batch)]
    times = np.unique(sorted(map(str, once)), return_counts=True)[1]
    assert counts.tolist() == (times * 2 * shape.batch_size).tolist()
    resumed = next(iter(batches.dataset(start_step=5).as_numpy_iterator()))
    np.testing.assert_array_equal(resumed[1], stream[5][1])


def test_documents_are_lines_or_paragraphs(tmp_path):
    path = tmp_path / "text.txt.gz"
    path.write_bytes(gzip.compress(b"one\r\ntwo \n\n \nthree\n\n\n\nfour\nfive"))
    assert list(TextFile(path)) == ["one", "two", "three", "four", "five"]
    assert list(TextFile(path, "paragraphs")) == ["one two", "three", "four five"]
    assert TextFile(path).fingerprint() != TextFile(path, "paragraphs").fingerprint()


def test_what_is_no_text_is_refused(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("\n \n")
    with pytest.raises(ValueError, match="holds no text"):
        TextFile(path)
    path.write_bytes(b"good\n\xff\n")
    with pytest.raises(ValueError, match=r"Line 2 of .* is not UTF-8"):
        TextFile(path)
    with pytest.raises(ValueError, match="`documents` must be one of lines, paragraphs"):
        TextFile(path, "pages")
    with pytest.raises(FileNotFoundError, match="There is no file"):
        TextFile(tmp_path / "missing.txt")
