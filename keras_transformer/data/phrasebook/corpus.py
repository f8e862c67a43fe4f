"""Sampling the patterns into a corpus: what is held out first, then training, evenly.

1. Draw what is held out (and the validation set), and ban from training some couples of content
   words that meet there: couples of animal and place for the coreference, couples of any kind
   for everyday sentences.
2. Draw the same number of training pairs from every pattern of a kind (everyday sentences, and
   two of coreference), refusing repetitions and banned couples.
3. Top up: add pairs that hold a word which is still rare.
"""

from collections import Counter
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from random import Random

from keras_transformer.data.phrasebook import coreference, english, french, vocabulary
from keras_transformer.data.phrasebook.draw import Draw
from keras_transformer.data.phrasebook.lexicon import nouns, people, small_words
from keras_transformer.data.phrasebook.patterns import EVERYDAY
from keras_transformer.data.phrasebook.patterns.people import be_profession
from keras_transformer.data.phrasebook.words import Group, Noun

Pair = tuple[str, str]
Pairs = tuple[Pair, ...]
Pattern = Callable[[Draw], Pair]

EVERYDAY_PER_PATTERN = 268
REFUSALS_PER_PATTERN = 1420
FITTING_PER_PATTERN = 480
HELD_OUT_PER_PATTERN = 7
VALIDATION_PER_PATTERN = 2
HELD_OUT_COUPLES = 104
VALIDATION_COUPLES = 26
TWINS_PER_COUPLE = 5
BANS_PER_WORD = 4
RARE = 40
TOP_UP_DRAWS = 250


@dataclass(frozen=True)
class Phrasebook:
    """English-French sentence pairs: what to train on, to tune on and to be judged by.

    Attributes:
        train: Distinct `(english, french)` pairs.
        validation: Pairs drawn like the held-out ones, disjoint from everything else.
        held_out: `"everyday"`, of which many join two words that never met in training, and
            `"coreference"`, where each sentence has a twin in which *it* is the other noun.
        patterns: The name of the pattern that made each English sentence.
    """

    train: Pairs
    validation: Pairs
    held_out: dict[str, Pairs]
    patterns: dict[str, str] = field(repr=False)


@lru_cache(maxsize=2)
def phrasebook(seed: int = 0) -> Phrasebook:
    """Generate the built-in corpus; the same seed gives the same corpus everywhere.

    >>> corpus = phrasebook(seed=0)
    >>> ("I am a student.", "Je suis étudiant.") in corpus.train
    True
    >>> print(dict(corpus.held_out["coreference"])[
    ...     "The animal didn't cross the street because it was too wide."])
    L'animal n'a pas traversé la rue parce qu'elle était trop large.
    """
    sampler = Sampler(Draw(Random(seed)))
    always = _always_trained(sampler)
    couples = _shuffled_couples(sampler.draw, HELD_OUT_COUPLES + VALIDATION_COUPLES)
    coreference_out = _all_twins(sampler, couples[:HELD_OUT_COUPLES])
    coreference_validation = _all_twins(sampler, couples[HELD_OUT_COUPLES:])
    everyday_out = _everyday_held_out(sampler)
    everyday_validation = sampler.take_each(EVERYDAY, VALIDATION_PER_PATTERN)
    train = always + sampler.take_each(EVERYDAY, EVERYDAY_PER_PATTERN)
    train += sampler.take_each(coreference.REFUSALS, REFUSALS_PER_PATTERN)
    train += sampler.take_each(coreference.FITTING, FITTING_PER_PATTERN)
    train += _top_up(sampler, train)
    return Phrasebook(
        train=_shuffled(sampler, train),
        validation=_shuffled(sampler, everyday_validation + coreference_validation),
        held_out={
            "everyday": _shuffled(sampler, everyday_out),
            "coreference": tuple(coreference_out),
        },
        patterns=sampler.patterns,
    )


@dataclass
class Sampler:
    """Draws finished pairs, none twice in either language and none with a banned couple."""

    draw: Draw
    patterns: dict[str, str] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    banned: set[tuple[str, str]] = field(default_factory=set)

    def keep(self, name: str, raw: Iterable[Pair]) -> list[Pair]:
        """Finish the raw pairs of the pattern `name` and return those that are new."""
        return [pair for pair in map(finish, raw) if self._is_new(name, pair)]

    def take(self, pattern: Pattern, count: int) -> list[Pair]:
        """Draw `count` pairs from one pattern."""
        taken: list[Pair] = []
        for _ in range(40 * count):
            if len(taken) == count:
                return taken
            taken += self.try_once(pattern)
        raise ValueError(
            f"A pattern must be able to make many sentences, expected {count} new ones from "
            f"`{pattern.__name__}`. Received: {len(taken)}"
        )

    def take_each(self, patterns: Iterable[Pattern], count: int) -> list[Pair]:
        """Draw `count` pairs from every pattern."""
        return [pair for pattern in patterns for pair in self.take(pattern, count)]

    def try_once(self, pattern: Pattern, wanted: Container[str] | None = None) -> list[Pair]:
        """Draw once: a list of one pair, or an empty list if the pair may not be used.

        With `wanted`, the pair must also hold one of these words.
        """
        pair = finish(pattern(self.draw))
        if wanted is not None and not any(word in wanted for word in tokens(pair)):
            return []
        if not self.banned.isdisjoint(vocabulary.content_pairs(pair[0])):
            return []
        return [pair] if self._is_new(pattern.__name__, pair) else []

    def _is_new(self, name: str, pair: Pair) -> bool:
        if not self.seen.isdisjoint(pair):
            return False
        self.seen.update(pair)
        self.patterns[pair[0]] = name
        return True


def finish(raw: Pair) -> Pair:
    """Spell out a pair that a pattern wrote word by word.

    >>> finish(("a ant is here.", "il y a une fourmi."))
    ('An ant is here.', 'Il y a une fourmi.')
    """
    return english.polish(raw[0]), french.polish(raw[1])


def _always_trained(sampler: Sampler) -> list[Pair]:
    """Keep for training the shortest greetings and the article's first sentence."""
    student = Group("a student", people.PROFESSIONS[0][0].fr)
    greetings = [(f"{en}!", f"{fr} !") for en, fr in small_words.GREETINGS]
    return [
        *sampler.keep("is_profession", [be_profession(people.PRONOUNS[0], student)]),
        *sampler.keep("greets", greetings),
    ]


def _shuffled_couples(draw: Draw, count: int) -> list[tuple[Noun, Noun]]:
    """Return `count` couples of animal and place, three of four with different genders.

    The article's own, animal and street, comes first.
    """
    couples = [(animal, place) for animal in nouns.ANIMALS for place in nouns.LANDSCAPE]
    article = next(c for c in couples if (c[0].en, c[1].en) == ("animal", "street"))
    draw.random.shuffle(couples)
    couples.remove(article)
    groups = {
        genders: [c for c in couples if (c[0].gender, c[1].gender) == genders]
        for genders in (("m", "f"), ("f", "m"), ("m", "m"), ("f", "f"))
    }
    turns = [("f", "m"), ("m", "f"), ("f", "m"), ("m", "m"), ("m", "f"), ("f", "m"), ("m", "f")]
    turns.append(("f", "f"))
    return [article] + [groups[turns[i % len(turns)]].pop() for i in range(count - 1)]


def _all_twins(sampler: Sampler, couples: Iterable[tuple[Noun, Noun]]) -> list[Pair]:
    pairs = []
    for animal, place in couples:
        sampler.banned.add(tuple(sorted((animal.en, place.en))))
        pairs += _twins_of(sampler, animal, place)
    return pairs


def _twins_of(sampler: Sampler, animal: Noun, place: Noun) -> list[Pair]:
    pairs: list[Pair] = []
    if (animal.en, place.en) == ("animal", "street"):
        pairs += sampler.keep(coreference.FORMS[0].name, _article())
    obstacles = [obstacle for obstacle in coreference.OBSTACLES if obstacle.place is place]
    while len(pairs) < 2 * TWINS_PER_COUPLE:
        form = sampler.draw.pick(coreference.FORMS)
        twins = coreference.twins(sampler.draw, form, animal, sampler.draw.pick(obstacles))
        finished = [finish(raw) for raw in twins]
        if not any(pair[0] in sampler.seen for pair in finished):
            pairs += sampler.keep(form.name, twins)
    return pairs


def _article() -> tuple[Pair, Pair]:
    street, animal = coreference.OBSTACLES[0], nouns.ANIMALS[0]
    tired, wide = coreference.OF_ANIMALS[0], street.adjectives[0]
    did_not = coreference.FORMS[0]
    return (
        coreference.refuse(did_not, animal, street, True, tired),
        coreference.refuse(did_not, animal, street, False, wide),
    )


def _everyday_held_out(sampler: Sampler) -> list[Pair]:
    """Draw everyday sentences and keep some of the couples of words in them from training."""
    drawn = [sampler.take(pattern, HELD_OUT_PER_PATTERN) for pattern in EVERYDAY]
    bans = Counter(dict.fromkeys(coreference.WORDS | vocabulary.CHOOSY, BANS_PER_WORD))
    for pairs in drawn:
        for couples in _free_couples(pairs):
            spared = [couple for couple in couples if max(bans[w] for w in couple) < BANS_PER_WORD]
            if spared:
                couple = sampler.draw.random.choice(spared)
                sampler.banned.add(couple)
                bans.update(couple)
    return [pair for pairs in drawn for pair in pairs]


def _free_couples(pairs: list[Pair]) -> list[list[tuple[str, str]]]:
    """List the couples in each sentence of a pattern, without the words of the pattern itself."""
    couples = [list(vocabulary.content_pairs(source)) for source, _ in pairs]
    counts = Counter(word for found in couples for word in {w for couple in found for w in couple})
    fixed = {word for word, count in counts.items() if count > len(pairs) / 2}
    return [[couple for couple in found if fixed.isdisjoint(couple)] for found in couples]


def _top_up(sampler: Sampler, train: list[Pair]) -> list[Pair]:
    """Draw more sentences for the words that training has seen less than `RARE` times.

    A pattern that seldom makes them is given up.
    """
    counts = Counter(word for pair in train for word in tokens(pair))
    rare = {word for word, count in counts.items() if count < RARE}
    patterns = list(EVERYDAY)
    added: list[Pair] = []
    while rare and patterns:
        helpful = []
        for pattern in patterns:
            pairs = [p for _ in range(TOP_UP_DRAWS) for p in sampler.try_once(pattern, wanted=rare)]
            counts.update(word for pair in pairs for word in tokens(pair))
            rare = {word for word in rare if counts[word] < RARE}
            helpful += [pattern] if pairs else []
            added += pairs
        patterns = helpful
    return added


def tokens(pair: Pair) -> list[str]:
    """List the words of both sides, marked by language.

    >>> tokens(("A cat.", "Un chat."))
    ['en a', 'en cat', 'fr un', 'fr chat']
    """
    source, target = pair
    return [f"en {w}" for w in english.words(source)] + [f"fr {w}" for w in french.words(target)]


def _shuffled(sampler: Sampler, pairs: list[Pair]) -> Pairs:
    sampler.draw.random.shuffle(pairs)
    return tuple(pairs)
