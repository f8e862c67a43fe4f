import contextlib
import pickle

import keras
import numpy as np
import pytest
from keras import ops

from keras_transformer import Transformer
from keras_transformer.decoding import generate_all
from keras_transformer.decoding.shortlist import Shortlist, first_distinct

V, BOS, EOS = 41, 1, 2


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(11)
    model = Transformer(V, num_layers=1, d_model=12, num_heads=3, d_ff=17, dropout_rate=0.0)
    model.build()
    generator = np.random.default_rng(7)
    model.set_weights([w + generator.normal(0, 0.4, w.shape) for w in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def sources():
    generator = np.random.default_rng(3)
    rows = np.zeros((7, 9), "int32")
    for row, length in zip(rows, (3, 8, 1, 5, 7, 2, 4), strict=True):
        row[:length] = generator.integers(4, V, length)
        row[length] = EOS
    return rows


@pytest.fixture(scope="module")
def shortlist():
    generator = np.random.default_rng(2)
    frequent = generator.permutation(np.arange(3, V))[:19]
    return Shortlist(generator.integers(3, V, (V, 3)), frequent, num_frequent=4)


def by_the_rule(shortlist, row, first=(0,), prefix=()):
    """The ids that a sentence may consist of, one by one."""
    lexical = [shortlist.candidates[id][rank] for rank in range(3) for id in row if id]
    order = [*first, *prefix, *shortlist.frequent[: shortlist.num_frequent], *lexical]
    return list(dict.fromkeys([*order, *shortlist.frequent]))[: shortlist.size]


def search(model, sources, shortlist, **options):
    limits = np.full((len(sources),), 11, "int32")
    options = {"length": 13, "slots": 3, "bos_id": BOS, "eos_id": EOS, "top_beams": 4, **options}
    found, complete = generate_all(model, sources, limits, shortlist=shortlist, **options)
    assert np.asarray(complete).all()
    return [np.asarray(part) for part in found]


def test_ids_are_chosen_by_the_rule(shortlist, sources):
    prefix = np.array([[30, 3], [0, 0], [31, 0], [5, 5], [6, 7], [0, 0], [8, 9]], "int32")
    chosen = shortlist.choose(sources, [0, BOS, EOS], prefix, limit=V)
    expected = [
        by_the_rule(shortlist, row, [0, BOS, EOS], given)
        for row, given in zip(sources, prefix, strict=True)
    ]
    np.testing.assert_array_equal(chosen, expected)
    np.testing.assert_array_equal(
        shortlist.choose(sources, [0]), [by_the_rule(shortlist, row) for row in sources]
    )


def test_the_first_different_ids_stay_in_order():
    rows = np.random.default_rng(1).integers(0, 23, (5, 61)).astype("int32")
    expected = [list(dict.fromkeys(row.tolist()))[:7] for row in rows]
    np.testing.assert_array_equal(first_distinct(ops.array(rows), 7, limit=23), expected)


@pytest.mark.slow
def test_with_all_ids_it_changes_nothing(model, sources):
    everything = Shortlist(np.zeros((V, 1), int), np.arange(V)[::-1], num_frequent=0)
    for one, other in zip(
        search(model, sources, everything), search(model, sources, None), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.slow
def test_padding_may_begin_the_translations(model, sources):
    """As in Marian's models."""
    everything = Shortlist(np.zeros((V, 1), int), np.arange(V)[::-1], num_frequent=0)
    found = search(model, sources, everything, bos_id=0)
    for one, other in zip(found, search(model, sources, None, bos_id=0), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_probabilities_are_those_among_the_chosen_ids(model, sources, shortlist):
    ids, log_probs, scores, finished = search(model, sources, shortlist, length_penalty=0.0)
    assert finished.any()
    assert not finished.all()
    for row, hypotheses in enumerate(ids):
        chosen = by_the_rule(shortlist, sources[row], [0, BOS, EOS])
        memory = model.encode(sources[row : row + 1])
        for number in np.flatnonzero(np.isfinite(scores[row])):
            hypothesis = hypotheses[number]
            words = hypothesis[hypothesis != 0].tolist()
            assert set(words) <= set(chosen)
            logits = model.decode(np.array([[BOS, *words[:-1]]], "int32"), memory)
            among = np.asarray(logits)[0][:, chosen]
            totals = np.log(np.exp(among).sum(-1))
            expected = sum(
                among[place, chosen.index(word)] - totals[place] for place, word in enumerate(words)
            )
            assert log_probs[row, number] == pytest.approx(expected, abs=1e-4)


@pytest.mark.slow
def test_a_sentence_does_not_depend_on_its_company(model, sources, shortlist):
    together = search(model, sources, shortlist)
    for row in range(len(sources)):
        shorter = sources[row : row + 1, : (sources[row] != 0).sum()]  # without padding
        alone = search(model, shorter, shortlist, slots=1)
        np.testing.assert_array_equal(alone[0][0], together[0][row])
        np.testing.assert_allclose(alone[1][0], together[1][row], atol=1e-5)


@pytest.mark.slow
def test_every_prefix_can_be_written(model, sources, shortlist):
    prefix = np.zeros((7, 2), "int32")
    for row, given in zip(sources, prefix, strict=True):
        chosen = by_the_rule(shortlist, row, [0, BOS, EOS])
        given[:] = next(id for id in range(3, V) if id not in chosen), chosen[-1]
    ids = search(model, sources, shortlist, prefix=prefix)[0]
    np.testing.assert_array_equal(ids[:, 0, :2], prefix)


def test_a_bias_is_that_of_the_chosen_ids(sources, shortlist):
    keras.utils.set_random_seed(5)
    options = {"num_layers": 1, "d_model": 8, "num_heads": 2, "d_ff": 11}
    model = Transformer(V, use_bias=True, **options)
    model.build()
    ids = np.asarray(shortlist.choose(sources, [0]))
    model.target_embedding.bias.assign(np.random.default_rng(4).normal(size=V))
    hidden = np.random.default_rng(6).normal(size=(7, 4, 8)).astype("float32")
    whole = np.asarray(model.target_embedding.logits(hidden))
    some = model.target_embedding.logits(hidden, model.target_embedding.output_weights(ids))
    np.testing.assert_allclose(some, np.take_along_axis(whole, ids[:, None], axis=2), atol=1e-5)


def test_what_was_saved_is_loaded(shortlist, tmp_path):
    shortlist.save(tmp_path / "shortlist.npz")
    loaded = Shortlist.load(tmp_path / "shortlist.npz")
    assert loaded.num_frequent == 4
    for name in ("candidates", "frequent"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(shortlist, name))


@pytest.mark.parametrize("content", [b"", b"PK\3\4 no archive", b"\x93NUMPY", b"text"])
def test_a_damaged_file_is_told(tmp_path, content):
    path = tmp_path / "shortlist.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"shortlist\.npz is not a shortlist, or is damaged"):
        Shortlist.load(path)


@pytest.mark.parametrize("place", range(30, 400, 37))
def test_a_byte_that_was_changed_is_seen_or_changes_nothing(shortlist, tmp_path, place):
    path = tmp_path / "shortlist.npz"
    shortlist.save(path)
    content = bytearray(path.read_bytes())
    content[place] ^= 0x5A
    path.write_bytes(content)
    with contextlib.suppress(ValueError):  # other errors are not expected
        loaded = Shortlist.load(path)
        np.testing.assert_array_equal(loaded.frequent, shortlist.frequent)
        np.testing.assert_array_equal(loaded.candidates, shortlist.candidates)


def test_a_copy_is_the_same(shortlist):
    copy = pickle.loads(pickle.dumps(shortlist))
    np.testing.assert_array_equal(
        copy.choose(np.array([[5, 7]]), [0]), shortlist.choose(np.array([[5, 7]]), [0])
    )


def test_nothing_is_unpickled(tmp_path):
    path = tmp_path / "shortlist.npz"
    np.savez(path, candidates=np.array([print], object), frequent=np.arange(3), num_frequent=1)
    with pytest.raises(ValueError, match="is not a shortlist"):
        Shortlist.load(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"candidates": np.arange(5)}, r"`candidates` must be an array of 2 axes.*\(5,\)"),
        ({"candidates": np.zeros((3, 2))}, "`candidates` must .* float64"),
        ({"frequent": np.array([5, -1])}, "`frequent` must be an array of 1 axes of ids"),
        ({"frequent": np.array([5, 4, 5, 3])}, "none twice. Received: 4, 3 of them different"),
        ({"frequent": np.arange(3)}, "must have more than 3 ids"),
        ({"num_frequent": 6}, "`num_frequent` must be from 0 to 5.*Received: 6"),
    ],
)
def test_it_refuses(changes, message):
    options = {"candidates": np.zeros((3, 2), int), "frequent": np.arange(5), "num_frequent": 2}
    with pytest.raises(ValueError, match=message):
        Shortlist(**{**options, **changes})
