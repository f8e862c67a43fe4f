import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_transformer.translation.text_splitting import split_text


def characters(text):
    """Every character but white space is a token."""
    return len(re.sub(r"\s", "", text))


def words(text):
    return len(text.split())


def squeezed(text):
    return re.sub(r"\s", "", text)


TEXTS = st.text(st.sampled_from("ab .!?。\u00e9\u00a0\n\t猫…"), max_size=60)


@given(TEXTS, st.integers(1, 13))
def test_pieces_are_short_enough_and_nothing_is_lost(text, limit):
    pieces = split_text(text, characters, limit)
    assert all(characters(piece) <= limit for piece in pieces)
    assert squeezed("".join(pieces)) == squeezed(text)


@given(st.lists(st.text("abcdefgh", min_size=1, max_size=19), min_size=1), st.integers(1, 17))
def test_no_word_gets_a_space_into_its_middle(parts, limit):
    def odd(text):
        """Some letters are dearer than others, as bytes are than sub-words."""
        return sum(5 if letter == "a" else 1 for letter in squeezed(text))

    pieces = split_text(" ".join(parts), odd, limit)
    joined = " ".join(pieces).split(" ")
    whole = [part for part in parts if odd(part) <= limit]
    assert [word for word in joined if word in whole] or not whole
    for piece in pieces:
        for word in piece.split(" "):
            assert any(word in part for part in parts)
    inner = [word for piece in pieces for word in piece.split(" ")[1:]]
    assert all(any(part.startswith(word) for part in parts) for word in inner)


@given(st.lists(st.sampled_from(["a", "bc", "d.", "efg", "h!"]), min_size=1), st.integers(1, 7))
def test_words_stay_whole_where_they_fit(parts, limit):
    pieces = split_text(" ".join(parts), words, limit)
    assert [word for piece in pieces for word in piece.split()] == parts
    assert all(words(piece) <= limit for piece in pieces)


def test_a_short_text_is_left_as_it_is():
    assert split_text("  a  b. ", words, 2) == ["  a  b. "]


def test_it_is_cut_between_sentences_first():
    text = "One two. Three four five! Six? Seven eight nine ten."
    assert split_text(text, words, 5) == ["One two. Three four five!", "Six? Seven eight nine ten."]


def test_it_is_cut_between_words_next():
    assert split_text("a b c d e f g", words, 3) == ["a b c", "d e f", "g"]


def test_it_is_cut_within_a_word_at_last():
    assert split_text("abcdefg", characters, 3) == ["abc", "de", "fg"] or all(
        len(piece) <= 3 for piece in split_text("abcdefg", characters, 3)
    )
    assert "".join(split_text("abcdefg", characters, 3)) == "abcdefg"


@pytest.mark.parametrize("end", ["。", "！", "？"])
def test_sentences_without_spaces_are_found(end):
    assert split_text(f"猫猫猫{end}犬犬{end}", characters, 4) == [f"猫猫猫{end}", f"犬犬{end}"]


def test_one_character_is_never_cut():
    assert split_text("猫", lambda text: 4 * len(text), 3) == ["猫"]


def test_a_sentence_that_is_split_begins_with_a_piece_of_its_own():
    assert split_text("a. bb ccccc. d.", characters, 6) == ["a.", "bb", "ccccc.", "d."]
