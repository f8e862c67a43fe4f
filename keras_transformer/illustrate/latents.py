"""The latents of a translation: what each stands for, and what another one changes."""

from collections.abc import Sequence
from typing import NamedTuple

from keras_transformer.illustrate.figure import Figure, render

Words = Sequence[Sequence[str]]  # the tokens that each latent stands for


class LatentChange(NamedTuple):
    """A translation with one other latent.

    Attributes:
        place: Index of the latent that is another.
        code: The code that stands there instead.
        probability: Its probability there.
        words: The tokens of each latent of this translation.
    """

    place: int
    code: int
    probability: float
    words: Words


def latents_figure(
    codes: Sequence[int],
    probabilities: Sequence[float],
    words: Words,
    changes: Sequence[LatentChange],
) -> Figure:
    """Draws the M latents of a translation with their words, and what changes with one of them.

    Args:
        codes: Code of each latent.
        probabilities: Probability of each, given the source and those before it.
        words: Tokens of the places of each latent. There are none behind the end of the sentence.
        changes: Translations with one other latent.

    Returns:
        A `Figure`. Its `data` are the arguments, as a dict.

    Raises:
        ValueError: There are no latents, or not as many probabilities and lists of tokens.
        ImportError: The packages of the extra `illustrate` are not installed.
    """
    if not codes:
        raise ValueError("There is nothing to draw: `codes` is empty.")
    for name, rows in (
        ("probabilities", probabilities),
        ("words", words),
        *(("words of a change", change.words) for change in changes),
    ):
        if len(rows) != len(codes):
            raise ValueError(
                f"There must be {name} for each of the {len(codes)} latents. Received: {len(rows)}"
            )
    rows = [
        {**change._asdict(), "words": _compared(change.words, words), "before": codes[change.place]}
        for change in changes
    ]
    body = render(
        "latents.html",
        latents=list(zip(codes, probabilities, words, strict=True)),
        changes=rows,
    )
    data = {"codes": codes, "probabilities": probabilities, "words": words, "changes": changes}
    return Figure("Latents", body, data)


def _compared(words: Words, others: Words) -> list[list[tuple[str, bool]]]:
    """Returns tokens with whether they differ from those at the same place of others."""
    return [
        [
            (token, place >= len(before) or token != before[place])
            for place, token in enumerate(after)
        ]
        for after, before in zip(words, others, strict=True)
    ]
