"""Generation of the corpus: held-out and validation sets first, then a balanced training set.

1. Draw the held-out and validation sets, and ban from training some pairs of content words that
   occur there: pairs of animal and place for coreference, pairs of any words for everyday
   sentences.
2. Draw the same number of training sentences from every pattern of a kind (everyday, and two kinds
   of coreference), rejecting duplicates and sentences with a banned word pair.
3. Add sentences that contain words which are still rare.
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
HELD_OUT_WORD_PAIRS = 104
VALIDATION_WORD_PAIRS = 26
TWINS_PER_WORD_PAIR = 5
BANS_PER_WORD = 4
RARE = 40
TOP_UP_DRAWS = 250


@dataclass(frozen=True)
class Phrasebook:
    """English-French sentence pairs for training, validation and evaluation.

    Attributes:
        train: Distinct `(english, french)` pairs.
        validation: Pairs drawn like the held-out ones, disjoint from all other sets.
        held_out: `"everyday"`, where many sentences combine two words that never occur together in
            training, and `"coreference"`, where each sentence has a twin in which *it* refers to
            the other noun.
        patterns: Maps each English sentence to the name of the pattern that generated it.
    """

    train: Pairs
    validation: Pairs
    held_out: dict[str, Pairs]
    patterns: dict[str, str] = field(repr=False)


@lru_cache(maxsize=2)
def phrasebook(seed: int = 0) -> Phrasebook:
    """Generates the built-in corpus; the same seed gives the same corpus on every machine.

    >>> corpus = phrasebook(seed=0)
    >>> ("I am a student.", "Je suis étudiant.") in corpus.train
    True
    >>> print(dict(corpus.held_out["coreference"])[
    ...     "The animal didn't cross the street because it was too wide."])
    L'animal n'a pas traversé la rue parce qu'elle était trop large.
    """
    sampler = Sampler(Draw(Random(seed)))
    fixed = _fixed_training_pairs(sampler)
    word_pairs = _shuffled_animal_places(sampler.draw, HELD_OUT_WORD_PAIRS + VALIDATION_WORD_PAIRS)
    coreference_out = _draw_all_twins(sampler, word_pairs[:HELD_OUT_WORD_PAIRS])
    coreference_validation = _draw_all_twins(sampler, word_pairs[HELD_OUT_WORD_PAIRS:])
    everyday_out = _draw_everyday_held_out(sampler)
    everyday_validation = sampler.take_each(EVERYDAY, VALIDATION_PER_PATTERN)
    train = fixed + sampler.take_each(EVERYDAY, EVERYDAY_PER_PATTERN)
    train += sampler.take_each(coreference.REFUSALS, REFUSALS_PER_PATTERN)
    train += sampler.take_each(coreference.FITTING, FITTING_PER_PATTERN)
    train += _draw_rare_words(sampler, train)
    return Phrasebook(
        train=_shuffle(sampler, train),
        validation=_shuffle(sampler, everyday_validation + coreference_validation),
        held_out={
            "everyday": _shuffle(sampler, everyday_out),
            "coreference": tuple(coreference_out),
        },
        patterns=sampler.patterns,
    )


@dataclass
class Sampler:
    """A sampler of spelled-out pairs, without duplicates and banned word pairs."""

    draw: Draw
    patterns: dict[str, str] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    banned: set[tuple[str, str]] = field(default_factory=set)

    def keep(self, name: str, raw: Iterable[Pair]) -> list[Pair]:
        """Spells out raw pairs of the pattern `name` and returns those that are new."""
        return [pair for pair in map(finish, raw) if self._is_new(name, pair)]

    def take(self, pattern: Pattern, count: int) -> list[Pair]:
        """Draws `count` pairs from one pattern.

        Raises:
            ValueError: The pattern does not yield that many new pairs.
        """
        taken: list[Pair] = []
        for _ in range(40 * count):
            if len(taken) == count:
                return taken
            taken += self.try_once(pattern)
        raise ValueError(
            f"A pattern must generate enough distinct sentences. Expected {count} new ones from "
            f"`{pattern.__name__}`. Received: {len(taken)}"
        )

    def take_each(self, patterns: Iterable[Pattern], count: int) -> list[Pair]:
        """Draws `count` pairs from every pattern."""
        return [pair for pattern in patterns for pair in self.take(pattern, count)]

    def try_once(self, pattern: Pattern, wanted: Container[str] | None = None) -> list[Pair]:
        """Draws once and returns the pair in a list, which is empty if the pair is rejected.

        With `wanted`, a pair without any of these words is rejected too.
        """
        pair = finish(pattern(self.draw))
        if wanted is not None and not any(word in wanted for word in tokens(pair)):
            return []
        if not self.banned.isdisjoint(vocabulary.content_pairs(pair[0])):
            return []
        return [pair] if self._is_new(pattern.__name__, pair) else []

    def _is_new(self, name: str, pair: Pair) -> bool:
        """Records the pair and returns `True`, or returns `False` if a side is a duplicate."""
        if not self.seen.isdisjoint(pair):
            return False
        self.seen.update(pair)
        self.patterns[pair[0]] = name
        return True


def finish(raw: Pair) -> Pair:
    """Spells out a pair that a pattern wrote word by word.

    >>> finish(("a ant is here.", "il y a une fourmi."))
    ('An ant is here.', 'Il y a une fourmi.')
    """
    return english.polish(raw[0]), french.polish(raw[1])


def _fixed_training_pairs(sampler: Sampler) -> list[Pair]:
    """Returns pairs always kept for training: "I am a student." and the shortest greetings."""
    student = Group("a student", people.PROFESSIONS[0][0].fr)
    greetings = [(f"{en}!", f"{fr} !") for en, fr in small_words.GREETINGS]
    return [
        *sampler.keep("is_profession", [be_profession(people.PRONOUNS[0], student)]),
        *sampler.keep("greets", greetings),
    ]


def _shuffled_animal_places(draw: Draw, count: int) -> list[tuple[Noun, Noun]]:
    """Returns `count` pairs of animal and place, three of four with different genders.

    The pair of the article, *animal* and *street*, comes first.
    """
    word_pairs = [(animal, place) for animal in nouns.ANIMALS for place in nouns.LANDSCAPE]
    article = next(pair for pair in word_pairs if _is_of_article(*pair))
    draw.random.shuffle(word_pairs)
    word_pairs.remove(article)
    by_genders = {
        genders: [pair for pair in word_pairs if (pair[0].gender, pair[1].gender) == genders]
        for genders in (("m", "f"), ("f", "m"), ("m", "m"), ("f", "f"))
    }
    turns = [("f", "m"), ("m", "f"), ("f", "m"), ("m", "m"), ("m", "f"), ("f", "m"), ("m", "f")]
    turns.append(("f", "f"))
    return [article] + [by_genders[turns[i % len(turns)]].pop() for i in range(count - 1)]


def _is_of_article(animal: Noun, place: Noun) -> bool:
    return (animal.en, place.en) == ("animal", "street")


def _draw_all_twins(sampler: Sampler, word_pairs: Iterable[tuple[Noun, Noun]]) -> list[Pair]:
    """Draws twins for each pair of animal and place, and bans the pair from later sentences."""
    pairs = []
    for animal, place in word_pairs:
        sampler.banned.add(tuple(sorted((animal.en, place.en))))
        pairs += _draw_twins(sampler, animal, place)
    return pairs


def _draw_twins(sampler: Sampler, animal: Noun, place: Noun) -> list[Pair]:
    """Draws `TWINS_PER_WORD_PAIR` twins; those of the article come first."""
    pairs: list[Pair] = []
    if _is_of_article(animal, place):
        pairs += sampler.keep(coreference.FORMS[0].name, _article_twins())
    obstacles = [obstacle for obstacle in coreference.OBSTACLES if obstacle.place is place]
    while len(pairs) < 2 * TWINS_PER_WORD_PAIR:
        form = sampler.draw.pick(coreference.FORMS)
        twins = coreference.twins(sampler.draw, form, animal, sampler.draw.pick(obstacles))
        finished = [finish(raw) for raw in twins]
        if not any(pair[0] in sampler.seen for pair in finished):
            pairs += sampler.keep(form.name, twins)
    return pairs


def _article_twins() -> tuple[Pair, Pair]:
    """Returns the article's sentences: too tired (the animal) and too wide (the street)."""
    street, animal = coreference.OBSTACLES[0], nouns.ANIMALS[0]
    tired, wide = coreference.OF_ANIMALS[0], street.adjectives[0]
    did_not = coreference.FORMS[0]
    return (
        coreference.refuse(did_not, animal, street, True, tired),
        coreference.refuse(did_not, animal, street, False, wide),
    )


def _draw_everyday_held_out(sampler: Sampler) -> list[Pair]:
    """Draws everyday sentences, and bans one word pair of most sentences from training."""
    drawn = [sampler.take(pattern, HELD_OUT_PER_PATTERN) for pattern in EVERYDAY]
    bans = Counter(dict.fromkeys(coreference.WORDS | vocabulary.CHOOSY, BANS_PER_WORD))
    for pairs in drawn:
        for word_pairs in _bannable_word_pairs(pairs):
            allowed = [words for words in word_pairs if max(bans[w] for w in words) < BANS_PER_WORD]
            if allowed:
                banned = sampler.draw.random.choice(allowed)
                sampler.banned.add(banned)
                bans.update(banned)
    return [pair for pairs in drawn for pair in pairs]


def _bannable_word_pairs(pairs: list[Pair]) -> list[list[tuple[str, str]]]:
    """Returns the word pairs in each sentence of a pattern, except words of the pattern itself."""
    sentences = [list(vocabulary.content_pairs(source)) for source, _ in pairs]
    counts = Counter(
        word for word_pairs in sentences for word in {w for words in word_pairs for w in words}
    )
    fixed = {word for word, count in counts.items() if count > len(pairs) / 2}
    return [[words for words in word_pairs if fixed.isdisjoint(words)] for word_pairs in sentences]


def _draw_rare_words(sampler: Sampler, train: list[Pair]) -> list[Pair]:
    """Draws more sentences with words that occur less than `RARE` times in training.

    A pattern that yields none in `TOP_UP_DRAWS` draws is not tried again.
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
    """Returns the words of both sides, marked by language.

    >>> tokens(("A cat.", "Un chat."))
    ['en a', 'en cat', 'fr un', 'fr chat']
    """
    source, target = pair
    return [f"en {w}" for w in english.words(source)] + [f"fr {w}" for w in french.words(target)]


def _shuffle(sampler: Sampler, pairs: list[Pair]) -> Pairs:
    sampler.draw.random.shuffle(pairs)
    return tuple(pairs)
