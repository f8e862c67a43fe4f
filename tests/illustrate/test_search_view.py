import numpy as np
import pytest

from keras_transformer import generate
from keras_transformer.illustrate import SearchStep, extraction, search_figure
from keras_transformer.illustrate.search_view import candidates
from tests.translation.conftest import next_log_probs

TEXT = "six"
WORDS = ["<pad>", "a", "am", "i", "thanks", "student", "<eos>"]


@pytest.fixture(scope="module")
def source(translator):
    return extraction.ids_of(translator, TEXT, "")[0]


@pytest.fixture(scope="module", params=[1, 2, 3])
def search(request, translator, source):
    return request.param, *extraction.search_of(translator, source, request.param, request.param)


@pytest.mark.slow
def test_it_finds_what_the_search_finds(translator, source, search):
    beam_size, steps, found = search
    length = len(source) + 4
    options = {"length": length, "bos_id": 1, "eos_id": 2, "beam_size": beam_size}
    expected = generate(
        translator.model, np.array([source]), np.array([length]), top_beams=beam_size, **options
    )
    ids, log_probs, scores, finished = (np.asarray(tensor)[0] for tensor in expected)
    exist = scores > -np.inf
    assert [one["ids"] for one in found] == [tuple(row[row > 0]) for row in ids[exist]]
    np.testing.assert_allclose([one["score"] for one in found], scores[exist], atol=1e-6)
    np.testing.assert_allclose([one["log_prob"] for one in found], log_probs[exist], atol=1e-6)
    assert [one["finished"] for one in found] == finished[exist].tolist()
    assert {1: (False,), 2: (True,), 3: (True, True)}[beam_size] == tuple(finished[exist])
    assert len(steps) == length


@pytest.mark.slow
def test_what_was_seen_is_what_the_model_says(translator, source, search):
    """Without a cache, beginning by beginning."""
    _, steps, _ = search
    for step in steps[:4]:
        for ids, log_prob, next_ones in zip(
            step.beams, step.log_probs, step.next_log_probs, strict=True
        ):
            table = next_log_probs(translator.model, source, ids)
            np.testing.assert_allclose(next_ones, table[-1], atol=1e-4)
            expected = sum(table[place][id] for place, id in enumerate(ids))
            assert abs(log_prob - expected) < 1e-4


def test_the_candidates_that_were_kept_are_the_ones_that_the_search_went_on_with(search):
    """The search's choice and the figure's account of it are worked out apart."""
    beam_size, steps, _ = search
    for number, step in enumerate(steps):
        looked_at = candidates(step, beam_size, eos_id=2, pad_id=0)
        kept = [one.ids for one in looked_at if one.fate == "kept"]
        if beam_size > 1:
            assert kept == list(step.kept)
            assert len(kept) == beam_size
            assert len(looked_at) == 2 * beam_size
        if number + 1 < len(steps):
            assert list(steps[number + 1].beams) == list(step.kept)
        assert all((one.ids[-1] == 2) == (one.fate == "ended") for one in looked_at)


def test_every_finished_hypothesis_is_in_the_tree(translator, search):
    beam_size, steps, found = search
    figure = search_figure(steps, found, translator.tokenizer.id_to_token, beam_size, eos_id=2)
    ended = {one.ids for level in figure.data["candidates"] for one in level if one.fate == "ended"}
    finished = [one["ids"] for one in found if one["finished"]]
    assert set(finished) <= ended
    assert figure.body.count("No. ") >= len(finished)


@pytest.mark.slow
def test_greedy_search_keeps_the_most_probable_word_of_each_step(translator, source):
    steps, found = extraction.search_of(translator, source, 1, 1)
    assert all(len(step.beams) == 1 for step in steps)
    chosen = tuple(int(step.next_log_probs[0, 1:].argmax()) + 1 for step in steps)
    assert found[0]["ids"] == chosen


def words_after(beginning):
    """Log-probabilities as the article's example may have them: `i` and `a` are likely first."""
    table = np.full(7, 0.01)
    if not beginning:
        table[[3, 1]] = 0.5, 0.45
    elif len(beginning) == 1:
        table[{3: 2, 1: 5}[beginning[0]]] = 0.9 if beginning[0] == 1 else 0.2
    else:
        table[6] = 0.9
    table[0] = 1e-9
    return np.log(table / table.sum())


def test_of_two_words_both_are_followed_and_the_better_pair_wins():
    """The article's beam search: beam_size 2 and top_beams 2, "i" and "a" are held at first."""
    first = SearchStep([()], [0.0], words_after(())[None], [(3,), (1,)])
    log_probs = [words_after(())[3], words_after(())[1]]
    second = SearchStep(
        [(3,), (1,)], log_probs, np.stack([words_after((3,)), words_after((1,))]), [(1, 5), (3, 2)]
    )
    for step in (first, second):
        assert [one.fate for one in candidates(step, 2, 6, 0)].count("kept") == 2
    figure = search_figure([first, second], [], WORDS.__getitem__, 2, 6)
    best, other = figure.data["candidates"][1][:2]
    assert (best.ids, other.ids) == ((1, 5), (3, 2))  # "a" was second, "a student" is first
    assert abs(best.log_prob - (log_probs[1] + words_after((1,))[5])) < 1e-9
    assert [word for word, _ in figure.data["top"][0][0][:2]] == ["i", "a"]


def test_the_most_probable_words_are_listed_with_their_probabilities(translator, search):
    beam_size, steps, found = search
    figure = search_figure(
        steps, found, translator.tokenizer.id_to_token, beam_size, eos_id=2, top_words=3
    )
    for step, beams in zip(steps, figure.data["top"], strict=True):
        for row, words in zip(step.next_log_probs, beams, strict=True):
            expected = np.sort(np.exp(row.astype("float64")))[::-1][:3]
            np.testing.assert_allclose([p for _, p in words], expected)


def test_what_is_left_when_the_search_stops_is_told_apart():
    step = SearchStep([()], [0.0], np.log([[1e-9, 0.5, 0.3, 0.2]]), [(2,)])
    fates = [one.fate for one in candidates(step, 2, eos_id=1, pad_id=0, last=True)]
    assert fates == ["ended", "left", "dropped"]
    (one,) = candidates(step, 1, eos_id=3, pad_id=1)  # padding is never chosen
    assert one.ids == (2,)
    assert abs(one.probability - 0.3) < 1e-6
