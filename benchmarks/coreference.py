"""Counts how often attention heads look from a pronoun to the noun that it stands for.

    python -m benchmarks.coreference --run runs/phrasebook --figure coreference.svg

Reads the run's `held_out/coreference.en` and `.fr`, sentences such as *The animal didn't cross the
street because it was too tired*. For every head, the program counts how often the pronoun gives the
right noun more weight than any other word: *it* in the encoder's self-attention, and *il* or *elle*
in the cross-attention of the step that writes it. The weights of a word's tokens are added up; the
end of the sentence counts as a word. The same is counted for the wrong noun and for the adjective,
which determines the noun. A fourth count is how often the right noun gets more weight than the
wrong one, where chance is a half.

The adjective determines which noun is right: each applies either to the animal or to the place.
Which adjectives apply to which is derived from the sentences whose nouns differ in gender, by the
gender of the French pronoun.

The best head is chosen on the sentences that it is measured on: 12 heads, 1,040 sentences.

Notes:
    Measured on the run of trainers/recipes/phrasebook.yaml, which translates all 1,040 sentences
    correctly:

    - *it*: no head of the encoder finds its noun. The best, layer 2, head 3, gives the right noun
      the largest weight in 22.5 % of the sentences and the wrong one in 18.9 %, and prefers the
      right noun to the wrong one about as often as chance would.
    - *il*, *elle*: the best head, layer 2, head 0, gives it to the right noun in 49.9 %: to the
      animal in 99.8 % of the sentences where the animal is meant, to the place in none where the
      place is meant.

    Which head attends to what depends on the last digits of the training. Six layers instead of
    three (`--num-layers 6`) were not better: after five epochs validation BLEU was 66.3, *it*
    attended to the animal in every sentence (50.0 % right), and *il* and *elle* to the right noun
    in 5.5 %. More sentence patterns were not tried.

    So the model resolves the pronoun without an attention weight that shows it as plainly as the
    figure in the article: a position also carries what it gathered in lower layers. Attention is
    not the whole explanation.
"""

import dataclasses
import re
from collections import Counter
from pathlib import Path

import numpy as np

from benchmarks.parser import make_parser
from keras_transformer import Translator

SENTENCE = re.compile(r"The (\w+) .*\bthe (\w+) because (it) (?:is|was) too (\w+)\.", re.ASCII)
FRENCH = re.compile(r"(Le |La |L')\w+ .*\b(le |la |l')\w+ parce qu'(il|elle) ")
GENDERS = {"le ": "m", "la ": "f", "il": "m", "elle": "f"}
BYTE = re.compile(r"<0x([0-9A-F]{2})>")  # a token that is one byte of a character
BATCH = 32
ROLES = ("right noun", "wrong noun", "adjective", "right above wrong")


@dataclasses.dataclass(frozen=True)
class Sentence:
    """A pair of sentences, with the character spans `(start, end)` of its relevant words.

    Attributes:
        source: English sentence.
        target: French translation.
        it: Span of *it* in the source.
        nouns: Spans of the animal and the place in the source.
        adjective: Span of the adjective in the source.
        pronoun: Span of *il* or *elle* in the target.
        genders: Genders of the two nouns and the pronoun; `None` after the article *l'*, which
            does not show the gender.
    """

    source: str
    target: str
    it: tuple[int, int]
    nouns: tuple[tuple[int, int], tuple[int, int]]
    adjective: tuple[int, int]
    pronoun: tuple[int, int]
    genders: tuple[str | None, str | None, str]


def read_sentences(run: Path) -> list[Sentence]:
    """Reads the held-out coreference sentences of a run."""
    files = [run / "held_out" / f"coreference.{language}" for language in ("en", "fr")]
    for file in files:
        if not file.is_file():
            raise SystemExit(f"There is no {file}: give a run of trainers/recipes/phrasebook.yaml.")
    sides = [file.read_text(encoding="utf-8").splitlines() for file in files]
    return [parse(*pair) for pair in zip(*sides, strict=True)]


def parse(source: str, target: str) -> Sentence:
    """Locates the nouns, the adjective and the pronouns of a pair."""
    english, french = SENTENCE.fullmatch(source), FRENCH.match(target)
    if not english or not french:
        raise SystemExit(f"This pair does not match the sentence pattern: {source!r} / {target!r}")
    animal, place, it, adjective = (english.span(group) for group in (1, 2, 3, 4))
    genders = tuple(GENDERS.get(french[group].lower()) for group in (1, 2, 3))
    return Sentence(source, target, it, (animal, place), adjective, french.span(3), genders)


def find_referents(sentences: list[Sentence]) -> dict[str, int]:
    """Returns the noun that each adjective applies to: 0 for the animal, 1 for the place."""
    votes: dict[str, Counter] = {}
    for sentence in sentences:
        animal, place, pronoun = sentence.genders
        if None not in (animal, place) and animal != place:
            votes.setdefault(adjective_text(sentence), Counter())[int(pronoun == place)] += 1
    ambiguous = [adjective for adjective, counts in votes.items() if len(counts) > 1]
    unknown = {adjective_text(sentence) for sentence in sentences} - set(votes)
    if ambiguous or unknown:
        raise SystemExit(
            f"These adjectives do not determine the noun: {sorted({*ambiguous, *unknown})}"
        )
    return {adjective: counts.most_common(1)[0][0] for adjective, counts in votes.items()}


def adjective_text(sentence: Sentence) -> str:
    return sentence.source[slice(*sentence.adjective)]


def token_spans(text: str, tokens: list[str]) -> list[tuple[int, int]]:
    """Returns the character span of each token in its text.

    Example:

    >>> token_spans("qu'il dort", ["▁qu", "'", "il", "▁dort"])
    [(0, 2), (2, 3), (3, 5), (6, 10)]
    """
    characters = [BYTE.sub(lambda byte: chr(int(byte[1], 16)), token) for token in tokens]
    encoded = [
        character.encode("latin-1") if character != token else token.replace("▁", " ").encode()
        for character, token in zip(characters, tokens, strict=True)
    ]
    if b"".join(encoded).decode("utf-8", "replace") != f" {text}":
        raise SystemExit(f"The tokenizer changes this sentence: {text!r} became {tokens}")
    spans, before = [], b""
    for part in encoded:
        start = len((before + part[: len(part) - len(part.lstrip(b" "))]).decode(errors="ignore"))
        before += part
        spans.append((start - 1, len(before.decode(errors="replace")) - 1))
    return spans


def overlap(span: tuple[int, int], other: tuple[int, int]) -> bool:
    """Returns whether two spans share a character."""
    return span[0] < other[1] and other[0] < span[1]


def split_words(
    text: str, spans: list[tuple[int, int]]
) -> tuple[list[tuple[int, int]], np.ndarray]:
    """Returns the spans of a text's words, and a 0/1 matrix that assigns its tokens to them.

    The matrix has the shape `(tokens + 1, words + 1)`; the last token and the last word are the end
    of the sentence.
    """
    words = [match.span() for match in re.finditer(r"\w+|[^\w\s]", text)]
    assignment = np.zeros((len(spans) + 1, len(words) + 1))
    for row, span in enumerate(spans):
        assignment[row, next(n for n, word in enumerate(words) if overlap(span, word))] = 1
    assignment[-1, -1] = 1
    return words, assignment


def most_attended(rows: np.ndarray, sentence: Sentence, spans, right: int) -> np.ndarray:
    """Returns for each head and each of `ROLES` whether it applies: 0 or 1.

    Each of the first three roles applies if its word has the largest weight, the last if the right
    noun has a larger weight than the wrong one.

    Args:
        rows: Attention scores of all heads, `(layers, heads, tokens + 1)`.
        sentence: `Sentence`.
        spans: Spans of the source tokens.
        right: Index of the noun that is meant, 0 or 1.

    Returns:
        Array of shape `(layers, heads, roles)`.
    """
    words, assignment = split_words(sentence.source, spans)
    weights = rows @ assignment  # (layers, heads, words + 1)
    roles = [
        words.index(span)
        for span in (sentence.nouns[right], sentence.nouns[1 - right], sentence.adjective)
    ]
    applies = [weights.argmax(-1) == role for role in roles]
    applies.append(weights[..., roles[0]] > weights[..., roles[1]])
    return np.stack(applies, axis=-1).astype(float)


def measure(
    translator: Translator, sentences: list[Sentence], referents: dict[str, int]
) -> dict[str, np.ndarray]:
    """Counts, for *it* and for *il* or *elle*, how often each role applies to each head.

    Args:
        translator: `Translator`.
        sentences: List of `Sentence`.
        referents: Index of the noun that each adjective applies to, as `find_referents` returns it.

    Returns:
        Dict with an array of shape `(2, layers, heads, roles)` for each pronoun. The first axis
        separates the sentences in which the animal is meant from those in which the place is.
    """
    sums = {"it": [0.0, 0.0], "il, elle": [0.0, 0.0]}
    for first in range(0, len(sentences), BATCH):
        batch = sentences[first : first + BATCH]
        sources = translator.tokenizer.tokenize([sentence.source for sentence in batch])
        targets = translator.target_tokenizer.tokenize([sentence.target for sentence in batch])
        scores = attention(translator, sources, targets)
        for row, sentence in enumerate(batch):
            right = referents[adjective_text(sentence)]
            spans = id_spans(translator.tokenizer, sentence.source, sources[row])
            target_spans = id_spans(translator.target_tokenizer, sentence.target, targets[row])
            it = next(n for n, span in enumerate(spans) if overlap(span, sentence.it))
            pronoun = next(
                n for n, span in enumerate(target_spans) if overlap(span, sentence.pronoun)
            )
            real = slice(len(spans) + 1)
            encoder, cross = scores["encoder"][row, :, :, it], scores["cross"][row, :, :, pronoun]
            sums["it"][right] += most_attended(encoder[..., real], sentence, spans, right)
            sums["il, elle"][right] += most_attended(cross[..., real], sentence, spans, right)
    return {name: np.stack(both) for name, both in sums.items()}


def id_spans(tokenizer, text: str, ids: list[int]) -> list[tuple[int, int]]:
    """Returns the character span of each id in its text."""
    return token_spans(text, [tokenizer.id_to_token(id) for id in ids])


def attention(translator: Translator, sources, targets) -> dict[str, np.ndarray]:
    """Returns all attention scores of a batch, which is padded to its longest sentences."""
    eos_id, bos_id = translator.tokenizer.eos_id, translator.target_tokenizer.bos_id
    inputs = [[bos_id, *ids] for ids in targets]  # position t predicts the t-th token
    sides = []
    for rows in ([[*ids, eos_id] for ids in sources], inputs):
        side = np.full((len(rows), max(map(len, rows))), translator.model.pad_id, "int32")
        for row, ids in zip(side, rows, strict=True):
            row[: len(ids)] = ids
        sides.append(side)
    return translator.model.attention(*sides)


def report(counts: dict[str, np.ndarray], sizes: tuple[int, int]) -> list[str]:
    """Formats the counts: the best head for each pronoun, and the shares of all heads.

    Args:
        counts: Counts, as `measure` returns them.
        sizes: Numbers of sentences in which the animal is meant and in which the place is.
    """
    lines = [f"{sum(sizes)} sentences; a head finds a noun if no other word gets more weight"]
    for name, counted in counts.items():
        shares = counted.sum(axis=0) / sum(sizes)
        layer, head = np.unravel_index(shares[..., 0].argmax(), shares.shape[:2])
        lines.append(f"{name}: best head: layer {layer}, head {head}")
        groups = [("all", shares), ("animal meant", counted[0] / sizes[0])]
        for group, some in [*groups, ("place meant", counted[1] / sizes[1])]:
            roles = zip(ROLES, some[layer, head], strict=True)
            lines.append(f"  {group:<13}" + ", ".join(f"{role} {x:.1%}" for role, x in roles))
        for number, row in enumerate(shares[..., 0]):
            lines.append(f"  layer {number}      " + "  ".join(f"{x:6.1%}" for x in row))
    return lines


def draw_figure(counts: dict[str, np.ndarray], sizes: tuple[int, int], path: Path) -> None:
    """Draws a square for each head, darker the more often the head finds the noun."""
    from matplotlib.figure import Figure

    plot = Figure(figsize=(3.4 * len(counts), 2.9), layout="constrained")
    axes = plot.subplots(1, len(counts), squeeze=False)[0]
    for axis, (name, counted) in zip(axes, counts.items(), strict=True):
        shares = counted.sum(axis=0)[..., 0] / sum(sizes)
        axis.imshow(shares, cmap="Purples", vmin=0, vmax=1)
        for (layer, head), share in np.ndenumerate(shares):
            color = "white" if share > 0.6 else "black"
            axis.text(head, layer, f"{share:.0%}", ha="center", va="center", color=color)
        axis.set(title=f"{name} → its noun", xlabel="head", ylabel="layer")
        axis.set_xticks(range(shares.shape[1]))
        axis.set_yticks(range(shares.shape[0]))
    plot.savefig(path)


def main() -> None:
    parser = make_parser("coreference", __doc__)
    parser.add_argument("--run", type=Path, default=Path("runs/phrasebook"))
    parser.add_argument("--figure", type=Path, help="file for a figure, .svg or .png")
    arguments = parser.parse_args()
    sentences = read_sentences(arguments.run)
    referents = find_referents(sentences)
    places = sum(referents[adjective_text(sentence)] for sentence in sentences)
    sizes = (len(sentences) - places, places)
    counts = measure(Translator.load(arguments.run), sentences, referents)
    print("\n".join(report(counts, sizes)))
    if arguments.figure:
        draw_figure(counts, sizes, arguments.figure)


if __name__ == "__main__":
    main()
