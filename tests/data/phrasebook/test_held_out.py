"""What is held out is new, but made of known words; the twins of coreference decide by meaning."""

import re
from collections import Counter, defaultdict
from itertools import combinations

import pytest

from keras_transformer.data.phrasebook import coreference
from keras_transformer.data.phrasebook.lexicon import nouns

GENDER_OF = {noun.en: noun.gender for noun in nouns.ANIMALS + nouns.LANDSCAPE}
OF_ANIMALS = {adjective.en for adjective in coreference.OF_ANIMALS}
OF_PLACES = {adjective.en for adjective in coreference.OF_PLACES}
TIRED = "The animal didn't cross the street because it was too tired."
WIDE = "The animal didn't cross the street because it was too wide."


def noun_pair(source):
    animal, place = re.fullmatch(r"The (\w+) .* the (\w+) because it .*", source).groups()
    return animal, place


def pronoun(target):
    return re.search(r"parce qu'(il|elle) ", target)[1]


@pytest.mark.parametrize(("language", "side"), [("english", 0), ("french", 1)])
def test_every_word_is_known_from_training(corpus, words, language, side):
    known = Counter(word for pair in corpus.train for word in words(language, pair[side]))
    for pairs in (corpus.validation, *corpus.held_out.values()):
        unknown = {w for pair in pairs for w in words(language, pair[side]) if known[w] < 20}
        assert unknown == set()


def test_a_third_of_everyday_joins_words_that_never_met(corpus, words):
    frequency = Counter(word for source, _ in corpus.train for word in words("english", source))
    content = {word for word, count in frequency.items() if count < 700}
    met = set()
    for source, _ in corpus.train:
        met.update(combinations(sorted(content.intersection(words("english", source))), 2))
    new = 0
    for source, _ in corpus.held_out["everyday"]:
        pairs = combinations(sorted(content.intersection(words("english", source))), 2)
        new += any(pair not in met for pair in pairs)
    assert new >= len(corpus.held_out["everyday"]) / 3


def test_noun_pairs_of_coreference_never_meet_in_training(corpus, words):
    plural = {noun.en_plural: noun.en for noun in nouns.ANIMALS + nouns.LANDSCAPE}
    held_out = {noun_pair(source) for source, _ in corpus.held_out["coreference"]}
    for source, _ in corpus.train:
        found = {plural.get(word, word) for word in words("english", source)}
        assert not any(animal in found and place in found for animal, place in held_out)


def test_coreference_has_many_nouns_verbs_and_adjectives(corpus):
    sources = [source for source, _ in corpus.train if "because it" in source]
    animals, places = zip(
        *(noun_pair(source) for source in sources if " fit " not in source), strict=True
    )
    assert len(set(animals)) >= 20
    assert len(set(places)) >= 20
    for names in (animals, places):
        assert {GENDER_OF[name] for name in names} == {"m", "f"}
    verbs = {verb for verb in ("cross", "follow", "climb", "explore")
             for source in sources if f" {verb} " in source}  # fmt: skip
    assert len(verbs) >= 4
    assert len({source.split()[-1] for source in sources}) >= 24


def test_always_il_is_right_half_of_the_time(corpus):
    pronouns = [pronoun(target) for _, target in corpus.held_out["coreference"]]
    assert 0.45 <= pronouns.count("il") / len(pronouns) <= 0.55


def test_every_sentence_has_a_twin_of_the_other_role(corpus):
    roles = defaultdict(Counter)
    for source, _ in corpus.held_out["coreference"]:
        stem, adjective = source.removesuffix(".").rsplit(" ", 1)
        assert (adjective in OF_ANIMALS) != (adjective in OF_PLACES)
        roles[stem][adjective in OF_ANIMALS] += 1
    assert all(count[True] == count[False] for count in roles.values())


def test_the_pronoun_has_the_gender_of_the_noun_that_it_stands_for(corpus):
    pairs = [*corpus.train, *corpus.validation, *corpus.held_out["coreference"]]
    for source, target in pairs:
        if "because it" in source and " fit " not in source:
            animal, place = noun_pair(source)
            of_animal = source.removesuffix(".").split()[-1] in OF_ANIMALS
            gender = GENDER_OF[animal if of_animal else place]
            assert pronoun(target) == {"m": "il", "f": "elle"}[gender], source


def test_the_twin_flips_the_pronoun_in_most_pairs_of_nouns(corpus):
    held_out = {noun_pair(source) for source, _ in corpus.held_out["coreference"]}
    differ = sum(GENDER_OF[animal] != GENDER_OF[place] for animal, place in held_out)
    assert differ >= 0.7 * len(held_out)
    for role in (0, 1):
        assert {GENDER_OF[pair[role]] for pair in held_out} == {"m", "f"}


def test_the_articles_sentences_are_held_out(corpus):
    held_out = dict(corpus.held_out["coreference"])
    start = "L'animal n'a pas traversé la rue parce qu'"
    assert held_out[TIRED] == start + "il était trop fatigué."
    assert held_out[WIDE] == start + "elle était trop large."
