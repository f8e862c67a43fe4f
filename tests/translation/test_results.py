import dataclasses

import numpy as np
import pytest

from keras_transformer.translation.results import Hypothesis, join_parts, make_translation


def hypothesis(text, score, finished=True):
    attention = np.zeros((2, 3, 5, 7), "float32")
    pieces = tuple(f"▁{word}" for word in text.split())
    return Hypothesis(text, score, 7 * score, finished, pieces, attention)


BEST, SECOND, THIRD = hypothesis("un chat", -1.5), hypothesis("un", -2.25), hypothesis("la", -3.5)
ENDLESS = hypothesis("deux deux", -4.75, finished=False)


def test_the_best_stands_in_front():
    found = make_translation([BEST, SECOND], ["▁a", "▁cat", "</s>"])
    assert (found.text, found.score, found.finished, found.parts) == ("un chat", -1.5, True, 1)
    assert found.hypotheses == (BEST, SECOND)
    assert found.source_tokens == ("▁a", "▁cat", "</s>")
    assert not make_translation([ENDLESS]).finished


def test_nothing_found_is_the_worst_translation():
    found = make_translation([], ["▁a", "</s>"])
    assert (found.text, found.score, found.finished) == ("", -float("inf"), False)
    assert found.hypotheses == ()


def test_no_piece_is_an_empty_translation():
    found = join_parts([])
    assert (found.text, found.score, found.finished, found.parts) == ("", 0, True, 1)
    (empty,) = found.hypotheses
    assert (empty.text, empty.score, empty.log_prob, empty.tokens) == ("", 0, 0, ())


def test_one_piece_is_as_it_was():
    found = make_translation([BEST, SECOND], ["▁a", "</s>"])
    assert join_parts([found]) is found


def test_pieces_are_joined_rank_by_rank():
    found = join_parts(
        [
            make_translation([BEST, SECOND, THIRD], ["▁a", "</s>"]),
            make_translation([SECOND, ENDLESS], ["▁b", "▁c", "</s>"]),
            make_translation([THIRD, BEST], ["</s>"]),
        ]
    )
    assert found.parts == 3
    assert found.source_tokens == ("▁a", "</s>", "▁b", "▁c", "</s>", "</s>")
    first, second = found.hypotheses  # as many as every piece has
    assert (first.text, first.finished) == ("un chat un la", True)
    assert (first.score, first.log_prob) == (-7.25, -50.75)
    assert first.tokens == ("▁un", "▁chat", "▁un", "▁la")
    assert (second.text, second.finished) == ("un deux deux un chat", False)
    assert (second.score, second.log_prob) == (-8.5, -59.5)
    assert first.attention is second.attention is None
    assert (found.text, found.score, found.finished) == (first.text, first.score, True)


def test_a_piece_without_a_translation_leaves_none():
    found = join_parts(
        [make_translation([BEST], ["▁a", "</s>"]), make_translation([], ["▁b", "</s>"])]
    )
    assert (found.text, found.score, found.finished, found.parts) == ("", -float("inf"), False, 2)


def test_answers_do_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        make_translation([BEST]).text = "deux"
