"""The whole way on real text: Multi30k, English to German."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from keras_transformer.data import ParallelFiles, TokenBatches, TokenCache
from keras_transformer.text import Tokenizer

FOLDER = os.environ.get("KERAS_TRANSFORMER_MULTI30K", "")

pytestmark = pytest.mark.skipif(
    not FOLDER, reason="KERAS_TRANSFORMER_MULTI30K names no folder with train.en.gz, train.de.gz"
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    corpus = ParallelFiles(Path(FOLDER, "train.en.gz"), Path(FOLDER, "train.de.gz"))
    tokenizer = Tokenizer.train(corpus.sentences(), 8000, model_type="bpe")
    return TokenCache.build(corpus, tokenizer, tmp_path_factory.mktemp("multi30k") / "cache")


def test_all_pairs_are_kept_but_repetitions(cache):
    assert cache.report.read == 29_000
    assert cache.report.left_out == {"duplicate": 3}


def test_at_most_an_eighth_is_padding_and_no_pair_is_lost(cache):
    batches = TokenBatches(cache, tokens_per_batch=4096, max_shapes=8)
    assert len(batches.shapes) <= 8
    real = positions = 0
    seen = Counter()
    for epoch in range(3):
        for inputs, labels in batches.epoch(epoch):
            real += np.count_nonzero(inputs["source"]) + np.count_nonzero(labels)
            positions += inputs["source"].size + labels.size
            seen.update(row.tobytes().rstrip(b"\0") for row in inputs["source"])
    expected = Counter(
        cache.source(n).astype(np.int32).tobytes().rstrip(b"\0") for n in range(len(cache))
    )
    assert 1 - real / positions < 0.13
    assert batches.padding == pytest.approx(1 - real / positions, abs=1e-3)
    assert set(seen) == set(expected)
    waiting = 3 * len(cache) - seen.total()
    assert 0 <= waiting < sum(shape.batch_size for shape in batches.shapes)
