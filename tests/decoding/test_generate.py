"""A search over a model with its cache, against searches that put the whole target through it."""

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_transformer.decoding.generate import generate, generate_all
from tests import reference
from tests.translation.conftest import make_model

BOS, EOS, V, L = 1, 2, 13, 19
LIMITS = np.array([17, 3, 11, 19, 7], "int32")
NORMS = ("post", "pre")


def sources():
    generator, rows = np.random.default_rng(8), np.zeros((5, 9), "int32")
    for row, length in enumerate([9, 2, 5, 7, 1]):
        rows[row, :length] = [*generator.integers(3, V, length - 1), EOS]
    return rows


@pytest.fixture(scope="module")
def models():
    return {norm: make_model(V, norm=norm, num_layers=2, like_eos=5) for norm in NORMS}


@pytest.fixture(scope="module")
def log_probs(models):
    """For every norm and sentence: the next tokens' log-probabilities, without a cache."""
    return {
        norm: [without_cache(model, row) for row in sources()] for norm, model in models.items()
    }


def without_cache(model, source):
    memory = model.encode(source[None])
    decode = tf.function(lambda target: ops.log_softmax(model.decode(target, memory)))

    def of_next(tokens):
        target = np.array([[BOS, *tokens, *[0] * (L - len(tokens))]], "int32")
        return decode(target)[0, len(tokens)].numpy().astype("float64").tolist()

    return of_next


def search(model, **options):
    options = {"bos_id": BOS, "eos_id": EOS, "length": L, **options}
    found = generate(
        model, ops.convert_to_tensor(sources()), ops.convert_to_tensor(LIMITS), **options
    )
    return type(found)(*map(ops.convert_to_numpy, found))


@pytest.mark.slow
@pytest.mark.parametrize("beam_size", [1, 4])
@pytest.mark.parametrize("norm", NORMS)
def test_the_cache_changes_nothing(models, log_probs, norm, beam_size, monkeypatch):
    """LiveBeams cross: what is one's own lies in the slots of others."""
    ancestries, decode_step = [], type(models[norm]).decode_step

    def watched(self, tokens, cache, at, *others, **options):
        ancestries.append(ops.convert_to_numpy(at.ancestry))
        return decode_step(self, tokens, cache, at, *others, **options)

    monkeypatch.setattr(type(models[norm]), "decode_step", watched)
    found = search(models[norm], beam_size=beam_size, top_beams=beam_size)
    lengths = set()
    for b, limit in enumerate(LIMITS):
        wanted = reference.beam_search(
            log_probs[norm][b], limit, EOS, beam_size, 0.6, beam_size, lambda _, token: token != 0
        )
        for n, (score, log_prob, tokens, finished) in enumerate(wanted):
            assert found.ids[b, n].tolist() == tokens + [0] * (L - len(tokens))
            assert found.scores[b, n] == pytest.approx(score, abs=1e-4)
            assert found.log_probs[b, n] == pytest.approx(log_prob, abs=1e-4)
            assert found.finished[b, n] == finished
            lengths.add(len(tokens))
        assert (found.scores[b, len(wanted) :] == -np.inf).all()
    assert len(lengths) > 2
    others = ~np.eye(beam_size, dtype=bool)[:, None]
    crossed = max((stood & others).sum() / stood.sum() for stood in ancestries)
    assert crossed > 0.2 or beam_size == 1


@pytest.mark.slow
@pytest.mark.parametrize("norm", NORMS)
def test_a_hypothesis_has_the_score_that_it_has_when_it_is_forced(models, norm):
    """With rules and a prefix, too, which take no part in the probabilities."""
    prefix = np.array([[4, 0], [0, 0], [7, 3], [0, 0], [5, 0]], "int32")
    found = search(
        models[norm], beam_size=4, top_beams=3, length_penalty=1.0, prefix=prefix,
        no_repeat_ngram_size=2, min_lengths=[5, 2, 3, 7, 1],
    )  # fmt: skip
    memory = models[norm].encode(sources())
    for n in range(3):
        ids = found.ids[:, n]
        target = np.concatenate([np.full((5, 1), BOS, "int32"), ids[:, :-1]], axis=1)
        all_log_probs = ops.log_softmax(models[norm].decode(target, memory))
        of_ids = np.take_along_axis(ops.convert_to_numpy(all_log_probs), ids[..., None], axis=-1)
        totals = np.where(ids != 0, of_ids[..., 0], 0).sum(axis=-1)
        exists = found.scores[:, n] > -np.inf
        assert exists.any()
        lengths = (ids != 0).sum(axis=-1)
        np.testing.assert_allclose(found.log_probs[exists, n], totals[exists], atol=1e-4)
        np.testing.assert_allclose(
            found.scores[exists, n], (totals / ((5 + lengths) / 6))[exists], atol=1e-4
        )


def test_padding_is_the_models_unless_it_is_told_otherwise(models):
    """A target vocabulary in which every id is a token has no padding to write."""
    assert (search(models["post"]).ids != -1).all()
    found = search(models["post"], pad_id=-1)
    assert (found.ids[1, :, 3:] == -1).all()
    assert (found.ids[1, :, 0] >= 0).all()


# Many sentences in few slots

MANY = 17


def all_sources():
    generator, rows = np.random.default_rng(11), np.zeros((MANY, 9), "int32")
    for row in rows:
        length = generator.integers(1, 10)
        row[:length] = [*generator.integers(3, V, length - 1), EOS]
    return rows


def one_by_one(model, limits, min_lengths, prefix, **options):
    """What `generate` finds for each sentence alone."""

    @tf.function(autograph=False)
    def run(source, limit, min_length, start):
        return generate(
            model, source, limit, min_lengths=min_length, prefix=start, length=L, bos_id=BOS,
            eos_id=EOS, **options,
        )  # fmt: skip

    asked = (all_sources(), limits, min_lengths, prefix)
    found = [run(*(tf.constant(part[n : n + 1]) for part in asked)) for n in range(MANY)]
    return type(found[0])(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def in_slots(model, slots, *asked, length=L, jit_compile=False, **options):
    @tf.function(autograph=False, jit_compile=jit_compile)
    def run(source, *asked):
        return generate_all(
            model, source, *asked, length=length, slots=slots, bos_id=BOS, eos_id=EOS, **options
        )

    found, complete = run(*map(tf.constant, (all_sources(), *asked)))
    return type(found)(*map(ops.convert_to_numpy, found)), complete.numpy()


def rules():
    """Limits, least lengths and prefixes of many sentences; one of them has no token."""
    generator = np.random.default_rng(12)
    limits, prefix = generator.integers(1, L + 1, MANY), generator.integers(3, V, (MANY, 2))
    limits[4], prefix[3:, 1], prefix[7:] = 0, 0, 0
    parts = (limits, generator.integers(0, 7, MANY), prefix)
    return [part.astype("int32") for part in parts]


def assert_close(found, wanted):
    np.testing.assert_array_equal(found.ids, wanted.ids)
    np.testing.assert_array_equal(found.finished, wanted.finished)
    np.testing.assert_allclose(found.log_probs, wanted.log_probs, atol=1e-4)
    np.testing.assert_allclose(found.scores, wanted.scores, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("norm", "slots", "beam_size"), [
    ("post", 3, 4), ("post", 19, 2), ("pre", 1, 1), ("pre", 8, 4),
])  # fmt: skip
def test_in_few_slots_each_is_what_it_is_alone(models, norm, slots, beam_size):
    wanted = one_by_one(models[norm], *rules(), beam_size=beam_size, top_beams=beam_size)
    found, complete = in_slots(
        models[norm], slots, *rules(), beam_size=beam_size, top_beams=beam_size
    )
    assert complete.all()
    assert_close(found, wanted)
    assert len({(row != 0).sum() for row in found.ids[:, 0]}) > 4


@pytest.mark.slow
def test_compiled_by_xla_it_is_the_same_and_rules_are_not_needed(models):
    limits = rules()[0]
    wanted, _ = in_slots(models["pre"], 5, limits, beam_size=3)
    found, complete = in_slots(models["pre"], 5, limits, beam_size=3, jit_compile=True)
    assert complete.all()
    assert_close(found, wanted)


@pytest.mark.slow
def test_only_sentences_that_need_more_room_are_given_up(models):
    wanted, _ = in_slots(models["post"], 3, *rules(), beam_size=3)
    found, complete = in_slots(models["post"], 3, *rules(), beam_size=3, length=7)
    assert {True, False} == set(complete.tolist())
    assert complete[rules()[0] <= 7].all()
    assert not complete[(wanted.ids[:, 0, 7:] != 0).any(axis=-1)].any()
    wanted = wanted._replace(ids=wanted.ids[..., :7])
    assert_close(*(type(all_)(*(part[complete] for part in all_)) for all_ in (found, wanted)))


@pytest.mark.slow
def test_a_sentence_may_use_all_learned_positions():
    """One that is over waits behind the last of them until its slot is needed."""
    model = make_model(V, positions="learned", max_length=L, like_eos=5)
    limits, *others = rules()
    limits = np.where(limits % 2, L, limits).astype("int32")
    others[0] = np.where(limits == L, L + 1, 0).astype("int32")  # these never end
    wanted = one_by_one(model, limits, *others, beam_size=2)
    found, complete = in_slots(model, 3, limits, *others, beam_size=2)
    assert complete.all()
    assert_close(found, wanted)
