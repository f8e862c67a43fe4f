"""The count of looks at the right noun, with weights that are planted."""

import dataclasses
import doctest

import numpy as np
import pytest

from benchmarks import coreference
from keras_transformer.data.phrasebook import coreference as patterns
from keras_transformer.data.phrasebook import phrasebook

L, H = 2, 3


@pytest.fixture(scope="module")
def sentences():
    return [coreference.parse(*pair) for pair in phrasebook().held_out["coreference"]]


def test_the_words_of_a_sentence_are_found(sentences):
    one = sentences[0]
    assert one.source == "The animal didn't cross the street because it was too tired."
    spans = (one.it, *one.nouns, one.adjective)
    assert [one.source[slice(*span)] for span in spans] == ["it", "animal", "street", "tired"]
    assert one.target[slice(*one.pronoun)] == "il"
    assert one.genders == (None, "f", "m")  # l'animal, la rue, il


def test_every_adjective_is_said_of_the_noun_that_the_corpus_means(sentences):
    meant = coreference.find_referents(sentences)
    animals = {adjective.en for adjective in patterns.OF_ANIMALS}
    assert {adjective for adjective, noun in meant.items() if noun == 0} <= animals
    assert not animals & {adjective for adjective, noun in meant.items() if noun == 1}
    assert set(meant.values()) == {0, 1}


def test_an_adjective_that_is_said_of_both_is_refused(sentences):
    turned = [
        dataclasses.replace(one, genders=(one.genders[1], one.genders[0], one.genders[2]))
        for one in sentences
    ]
    with pytest.raises(SystemExit, match="These adjectives do not determine the noun"):
        coreference.find_referents([*sentences, *turned])


def test_places_of_pieces_are_those_of_their_text():
    assert doctest.testmod(coreference).failed == 0
    pieces = ["▁la", "▁for", "<0xC3>", "<0xAA>", "t"]
    spans = coreference.token_spans("la forêt", pieces)
    assert spans[1] == (3, 6)
    assert spans[3][1] == 7
    assert spans[4] == (7, 8)


class Letters:
    """A tokenizer of two letters a piece, where words are longer."""

    eos_id, bos_id = 2, 1

    def __init__(self):
        self.pieces = {}

    def tokenize(self, texts):
        rows = []
        for text in texts:
            cut = [f"▁{word}" for word in text.split()]
            pieces = [word[i : i + 3] for word in cut for i in range(0, len(word), 3)]
            rows.append([self.pieces.setdefault(piece, len(self.pieces) + 3) for piece in pieces])
        return rows

    def id_to_token(self, id):
        return next(piece for piece, known in self.pieces.items() if known == id)


class Planted:
    """A translator whose head (1, 2) always looks at the right noun, (0, 1) at the wrong one."""

    def __init__(self, sentences, meant):
        self.meant = meant
        self.tokenizer = self.target_tokenizer = Letters()
        self.sentences, self.model, self.pad_id, self.seen = sentences, self, 0, 0

    def attention(self, source, target):
        B, S, T = len(source), source.shape[1], target.shape[1]
        scores = {"encoder": np.full((B, L, H, S, S), 0.01)}
        scores["cross"] = np.full((B, L, H, T, S), 0.01)
        for row in range(B):
            one = self.sentences[self.seen + row]
            ids = source[row][source[row] > 2]
            spans = coreference.id_spans(self.tokenizer, one.source, ids)
            for head, noun in (((1, 2), 0), ((0, 1), 1)):
                right = one.nouns[abs(self.meant[coreference.adjective_text(one)] - noun)]
                pieces = [n for n, span in enumerate(spans) if coreference.overlap(span, right)]
                for name in scores:
                    scores[name][row, *head, :, pieces] = 0.2  # a share for each piece
        self.seen += B
        return scores


def test_looks_are_counted_head_by_head_and_noun_by_noun(sentences):
    some, meant = sentences[:46], coreference.find_referents(sentences)
    counts = coreference.measure(Planted(some, meant), some, meant)
    for found in counts.values():
        assert found.shape == (2, L, H, 4)
        shares = found.sum(axis=0) / len(some)
        assert shares[1, 2].tolist() == [1, 0, 0, 1]
        assert shares[0, 1].tolist() == [0, 1, 0, 0]
        assert shares[0, 0, 3] < 1
    lines = coreference.report(counts, (23, 23))
    assert "it: best head: layer 1, head 2" in lines
    assert "right noun 100.0%, wrong noun 0.0%" in lines[2]


def test_the_figure_is_drawn(tmp_path):
    counts = {"it": np.ones((2, L, H, 4)), "il, elle": np.zeros((2, L, H, 4))}
    coreference.draw_figure(counts, (1, 1), tmp_path / "shares.svg")
    assert "<svg" in (tmp_path / "shares.svg").read_text()


def test_sentences_of_another_form_are_refused(tmp_path):
    with pytest.raises(SystemExit, match=r"does not match the sentence pattern: 'I am\.'"):
        coreference.parse("I am.", "Je suis.")
    with pytest.raises(SystemExit, match=r"coreference.en: give a run of trainers/recipes"):
        coreference.read_sentences(tmp_path)
