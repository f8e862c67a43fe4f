"""One sentence on its way through a translator, figure by figure."""

import numpy as np

from keras_transformer.illustrate.attention_steps import attention_steps_figure
from keras_transformer.illustrate.attention_view import Attention, attention_figure
from keras_transformer.illustrate.distributions import distributions_figure
from keras_transformer.illustrate.figure import Figure, render, safe
from keras_transformer.illustrate.positions import positions_figure
from keras_transformer.illustrate.search_view import search_figure

SMALL = 4  # numbers of the positions that are printed, as in the article


def page(
    translator,
    text: str,
    reference: str = "",
    beam_size: int = 2,
    length_penalty: float = 0.6,
    token: int | None = None,
    layer: int | None = None,
    head: int | None = None,
) -> Figure:
    """The figures of The Illustrated Transformer for a sentence, in the order the data flows.

    All numbers come from the model. It reads the sentence whole, also if it is longer than those
    it was trained on; the page then says so.

    Args:
        translator: `Translator`.
        text: The sentence.
        reference: How it should be translated; the model's own translation if empty.
        beam_size: How many beginnings the search goes on with, and translations it returns.
        length_penalty: Strength of the search's length penalty.
        token: Which token of the sentence is looked at closely, counted from 0. `None` takes the
            word "it" if there is one, else the one that looks hardest at another.
        layer: In which layer of the encoder; `None` for where it looks hardest at another word.
        head: In which head.

    Returns:
        `Figure`; its `data` are those of the figures, by name: `"positions"`, `"steps"`,
        `"attention"`, `"search"` and `"distributions"`.

    Raises:
        ValueError: There is no sentence, or no such token, layer or head; the model has learnt too
            few positions for it; a number makes no sense to the search.
        ImportError: The packages of the extra `illustrate` are not installed.
    """
    from keras_transformer.illustrate import extraction

    _check(translator, text)
    source, _ = extraction.ids_of(translator, text, "")
    seen = extraction.search_of(translator, source, beam_size, beam_size, length_penalty)
    written = _ended(seen[1][0]["ids"], translator.target_tokenizer.eos_id)
    known = extraction.known_ids(translator.target_tokenizer, written)
    wanted = extraction.ids_of(translator, "", reference)[1] if reference.strip() else known
    attention = extraction.attention_of(translator, source, written)
    place = choose(attention, token, layer, head)
    figures = {
        **_reading_figures(translator, source, attention, place),
        **_writing_figures(translator, source, wanted, seen, beam_size),
    }
    body = render(
        "page.html",
        text=text,
        translation=translator.target_tokenizer.detokenize(known),
        reference=reference.strip(),
        source=list(zip(attention.source, source, strict=True)),
        written=list(zip(attention.written, written, strict=True)),
        model=translator.model,
        decoder_layers=len(attention.decoder),
        limit=translator.max_source_length,
        beam_size=beam_size,
        seed=translator.about.get("seed"),
        place={"token": attention.source[place[0]], "layer": place[1], "head": place[2]},
        **{name: safe(figure.body) for name, figure in figures.items()},
    )
    return Figure(text, body, {name: figure.data for name, figure in figures.items()}, 900)


def _reading_figures(translator, source: list[int], attention: Attention, place) -> dict:
    """How the sentence is read: positions, one head step by step, all heads."""
    from keras_transformer.illustrate import extraction

    token, layer, head = place
    small = {form: rows[:3] for form, rows in extraction.positions_of(SMALL).items()}
    parts = extraction.self_attention_of(translator, source, layer, head)
    return {
        "positions": positions_figure(extraction.positions_of(translator.model.d_model), small),
        "steps": attention_steps_figure(attention.source, token=token, **parts),
        "attention": attention_figure(attention, layer, token=token),
    }


def _writing_figures(translator, source: list[int], wanted: list[int], seen, beam_size) -> dict:
    """How the translation is found, and what training did for it."""
    from keras_transformer.illustrate import extraction

    tokenizer = translator.target_tokenizer
    words = [tokenizer.id_to_token(id) for id in range(tokenizer.vocabulary_size())]
    ends = tokenizer.eos_id, translator.model.pad_id

    def token_of(id: int) -> str:
        return extraction.tokens_of(tokenizer, [id])[0]

    return {
        "search": search_figure(*seen, token_of, beam_size, *ends),
        "distributions": distributions_figure(
            wanted, words, *_before_and_after(translator, source, wanted)
        ),
    }


def choose(
    attention: Attention, token: int | None, layer: int | None, head: int | None
) -> tuple[int, int, int]:
    """The token, layer and head of the encoder to look at closely, as far as they are not given.

    Where there is a choice it falls on the greatest score between two different words.
    """
    scores = attention.encoder
    sizes = (scores.shape[2], *scores.shape[:2])
    asked = ("token", token), ("layer", layer), ("head", head)
    for (name, value), size in zip(asked, sizes, strict=True):
        if value is not None and not 0 <= value < size:
            raise ValueError(f"`{name}` must be at least 0 and less than {size}. Received: {value}")
    words = np.array([any(map(str.isalpha, text)) and text[0] != "<" for text in attention.source])
    if token is None:
        token = _place_of_it(attention.source)
    pairs = words[:, None] & words[None] & ~np.eye(len(words), dtype=bool)
    scores = np.where(pairs, scores, 0) + 1e-9
    for axis, value in ((0, layer), (1, head), (2, token)):
        if value is not None:
            others = np.arange(scores.shape[axis]) != value
            scores = np.where(np.expand_dims(others, [a for a in range(4) if a != axis]), 0, scores)
    layer, head, token, _ = np.unravel_index(scores.argmax(), scores.shape)
    return int(token), int(layer), int(head)


def _place_of_it(tokens: list[str]) -> int | None:
    """Where the word "it" stands first, if it does; not where "sits" has it for a piece."""
    starts = "▁" if any(text.startswith("▁") for text in tokens) else ""  # what marks a word
    return next((n for n, text in enumerate(tokens) if text.lower() == f"{starts}it"), None)


def _before_and_after(translator, source, wanted):
    """The distributions of the run's weights before and after training; of the tokenizer's ids."""
    from keras_transformer.illustrate import extraction

    known = translator.target_tokenizer.vocabulary_size()
    for model in (extraction.initial_model(translator), translator.model):
        rows = extraction.probabilities_of(translator, source, wanted, model)[:, :known]
        yield rows / rows.sum(axis=-1, keepdims=True)  # ids that no token has are left out


def _ended(ids, eos_id: int) -> list[int]:
    """A hypothesis that was cut off gets its end, so that there is a last position to show."""
    return list(ids) if ids and ids[-1] == eos_id else [*ids, eos_id]


def _check(translator, text: str) -> None:
    if not isinstance(text, str) or not text.strip() or not translator.tokenizer.tokenize(text):
        raise ValueError(
            f"There must be a sentence to show, a text with a word in it. Received: {text!r:.80}"
        )
    model, length = translator.model, len(translator.tokenizer.tokenize(text)) + 51
    if model.positions == "learned" and length > model.max_length:
        raise ValueError(
            f"The model has learnt {model.max_length} positions, and the sentence with its "
            f"translation may need {length}: give a shorter one."
        )
