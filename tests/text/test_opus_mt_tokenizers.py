"""Released tokenizers of OPUS-MT: ids as in Transformers, in Python and in a graph."""

import json

import pytest
import tensorflow as tf

from keras_transformer.formats.marian.config import read_config
from keras_transformer.formats.marian.tokenizers import read_tokenizers
from tests.formats import opus_mt
from tests.formats.opus_mt import LANGUAGES, NAMED, NAMES, ODD, REPETITIVE

COUNT = 450  # lines of each text


@pytest.fixture(scope="module")
def texts():
    some = opus_mt.lines(COUNT)
    tagged = [f"{LANGUAGES[n % 2]} {text}" for n, text in enumerate(some[::17])]
    assert len(some) + len(tagged) > 2000
    return [*some, *tagged, *ODD]


@pytest.fixture(scope="module", params=NAMES)
def release(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("opus") / request.param
    opus_mt.with_languages(folder, request.param)
    return folder


@pytest.fixture(scope="module")
def tokenizers(release):
    return read_tokenizers(release, read_config(release).special_ids)


@pytest.fixture(scope="module")
def theirs(release, texts, tmp_path_factory):
    return opus_mt.ask_transformers(
        release, tmp_path_factory.mktemp("answers"), texts=[*texts, *NAMED]
    )


def others(ours, found, texts):
    """The texts of which other ids were found."""
    return [text for one, other, text in zip(ours, found, texts, strict=True) if one != other]


@pytest.mark.slow
def test_a_graph_gives_the_same_ids_and_texts(tokenizers, texts):
    pytest.importorskip("tensorflow_text")
    raw = tf.constant([text.encode() for text in texts])
    for tokenizer in tokenizers:
        rows = tokenizer.tokenize(texts)
        found = tf.function(tokenizer.tokenize_in_graph)(raw).to_list()
        assert set(others(rows, found, texts)) <= {REPETITIVE}
        assert others(map(sorted, rows), map(sorted, found), texts) == []
        ids = tf.ragged.constant(rows, tf.int32)
        decoded = tf.function(tokenizer.detokenize_in_graph)(ids).numpy().tolist()
        assert decoded == [text.encode() for text in tokenizer.detokenize(rows)]


@pytest.mark.slow
def test_transformers_gives_the_same_ids_and_texts(tokenizers, theirs, texts, capsys):
    """But where a text names a special token, which has no meaning here."""
    for tokenizer, side in zip(tokenizers, ("source", "target"), strict=True):
        rows = [[*ids, tokenizer.eos_id] for ids in tokenizer.tokenize([*texts, *NAMED])]
        assert others(rows, theirs[f"{side}_ids"], [*texts, *NAMED]) == NAMED
    known = [n for n in range(len(texts)) if tokenizer.unk_id not in rows[n]]
    assert len(known) > 1500
    decoded = tokenizer.detokenize([rows[n] for n in known])
    assert decoded == [theirs["decoded"][n] for n in known]
    with capsys.disabled():
        print(f"\n{len(texts)} texts have the same ids on both sides, {len(known)} of them without "
              f"unknown tokens and so the same text again; {len(NAMED)} that name special tokens "
              "have others")  # fmt: skip


def test_a_release_without_the_end_of_sentences_is_refused(release, tmp_path):
    with_end = json.loads((release / "vocab.json").read_text(encoding="utf-8"))
    config = read_config(release)
    for path in release.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    table = {"</S>" if token == "</s>" else token: id for token, id in with_end.items()}
    (tmp_path / "vocab.json").write_text(json.dumps(table), encoding="utf-8")
    with pytest.raises(ValueError, match=r"vocab.json must give </s> the id .* but lacks it"):
        read_tokenizers(tmp_path, config.special_ids)
