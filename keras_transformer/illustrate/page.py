"""Page that follows one sentence through a translator, figure by figure."""

from collections.abc import Collection

import numpy as np

from keras_transformer.illustrate.attention_steps import attention_steps_figure
from keras_transformer.illustrate.attention_view import Attention, attention_figure
from keras_transformer.illustrate.distributions import distributions_figure
from keras_transformer.illustrate.experts import experts_figure
from keras_transformer.illustrate.figure import Figure, render, safe
from keras_transformer.illustrate.latents import latents_figure
from keras_transformer.illustrate.search_view import search_figure


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
    """Draws the figures of *The Illustrated Transformer* for a sentence, in the order of data flow.

    All numbers come from the model. The sentence is never split: if it is longer than the sentences
    that the model was trained on, the page says so. It also says so if the encoder has no
    self-attention, or if there is no encoder.

    Args:
        translator: `Translator`.
        text: The sentence to translate.
        reference: Reference translation. If empty, the translation of the model is used.
        beam_size: Number of beams, and of translations that are shown.
        length_penalty: Exponent of the length penalty.
        token: Index of the source token whose self-attention is shown step by step. `None` selects
            the word "it" if there is one, else the token with the greatest score for another word.
        layer: Index of the encoder layer that is shown step by step; without an encoder, of the
            layer. `None` selects the one with the greatest score.
        head: Index of the head that is shown step by step. `None` selects the one with the greatest
            score.

    Returns:
        A `Figure`. Its `data` are those of the single figures, under `"positions"`, `"steps"`,
        `"attention"`, `"search"` and `"distributions"`; there are no `"steps"` if the encoder has
        no self-attention, and there are `"experts"` if the model has some. Of a model that finds
        latents they are `"positions"`, `"steps"`, `"attention"` of the encoder, `"search"` and
        `"latents"`, unless it finds none.

    Raises:
        ValueError: The text is empty; the model has no attention scores; `token`, `layer` or `head`
            does not exist, or the layer's attention has no key for each word; the sentence needs
            more positions than the model has learned; or a search option is out of range.
        ImportError: The packages of the extra `illustrate` are not installed.
    """
    from keras_transformer.decoding.latent_search import has_latents
    from keras_transformer.illustrate import extraction

    _check(translator, text)
    where = token, layer, head
    source, _ = extraction.ids_of(translator, text, "")
    if has_latents(translator.model):
        about = text, reference.strip()
        return _latents_page(translator, about, source, beam_size, length_penalty, *where)
    search = extraction.search_of(translator, source, beam_size, beam_size, length_penalty)
    written = _with_eos(search[1][0]["ids"], translator.target_tokenizer.eos_id)
    known = extraction.known_ids(translator.target_tokenizer, written)
    labels = extraction.ids_of(translator, "", reference)[1] if reference.strip() else known
    attention = extraction.attention_of(translator, source, written)
    blocks = extraction.reading_blocks(translator.model)
    compressing = extraction.compressing_layers(blocks)
    selection = choose(attention, *where, compressing)  # `None` without self-attention
    figures = {
        **_encoder_figures(translator, source, attention, selection),
        **_experts_figures(translator, source, written, attention),
        **_decoder_figures(translator, source, labels, search, beam_size),
    }
    body = render(
        "page.html",
        **_of_encoder(translator, text, source, attention, selection),
        translation=translator.target_tokenizer.detokenize(known),
        reference=reference.strip(),
        written=list(zip(attention.written, written, strict=True)),
        attending=len(attention.cross),
        beam_size=beam_size,
        seed=translator.about.get("seed"),
        compressed=bool(extraction.compressing_layers(translator.model.decoder.blocks)),
        has_experts="experts" in figures,
        **{name: safe(figure.body) for name, figure in figures.items()},
    )
    return Figure(text, body, {name: figure.data for name, figure in figures.items()}, 900)


def _of_encoder(translator, text: str, source: list[int], attention: Attention, selection) -> dict:
    """Returns what the page says of the sentence and of what reads it."""
    from keras_transformer.illustrate import extraction, word_order

    model = translator.model
    chosen = None
    if selection is not None:
        token, layer, head = selection
        chosen = {"token": attention.source[token], "layer": layer, "head": head}
    return {
        "text": text,
        "source": list(zip(attention.source, source, strict=True)),
        "d_model": model.d_model,
        "layers": (len(extraction.reading_blocks(model)), len(model.decoder.blocks)),
        "has_encoder": extraction.has_encoder(model),
        "heads": attention.encoder.shape[1],
        "limit": translator.max_source_length,
        "order": word_order.word_order_of(model),
        "others": word_order.other_layers_of(model),
        "selected": chosen,
    }


def _latents_page(translator, texts, source, beam_size, length_penalty, token, layer, head):
    """Draws the page of a model that finds latents, and then all words at once."""
    from keras_transformer.decoding.latent_search import END, PAD
    from keras_transformer.illustrate import extraction, latent_extraction

    attention = latent_extraction.encoder_attention_of(translator, source)
    selection = choose(attention, token, layer, head)
    steps, hypotheses, written = extraction.latent_search_of(
        translator, source, beam_size, length_penalty
    )
    figures = _encoder_figures(translator, source, attention, selection)
    figures["search"] = search_figure(
        steps, hypotheses, _name_of_latent, beam_size, END, PAD, unit="latent"
    )
    found = latent_extraction.latents_of(translator, source, hypotheses[0]["ids"])
    if found["codes"]:
        figures["latents"] = latents_figure(**found)
    text, reference = texts
    known = extraction.known_ids(translator.target_tokenizer, written)
    tokens = extraction.tokens_of(translator.target_tokenizer, written)
    body = render(
        "page_latents.html",
        **_of_encoder(translator, text, source, attention, selection),
        translation=translator.target_tokenizer.detokenize(known),
        reference=reference,
        written=list(zip(tokens, written, strict=True)),
        beam_size=beam_size,
        words_per_latent=translator.model.words_per_latent,
        **{name: safe(figure.body) for name, figure in figures.items()},
    )
    return Figure(text, body, {name: figure.data for name, figure in figures.items()}, 900)


def _name_of_latent(id: int) -> str:
    """Returns the number of the code of a latent."""
    from keras_transformer.decoding.latent_search import END

    return "end" if id == END else str(id - END - 1)


def _encoder_figures(translator, source: list[int], attention: Attention, selection) -> dict:
    """Draws positions, self-attention step by step, and the attention view."""
    from keras_transformer.illustrate import extraction, word_order

    positions = {"positions": word_order.word_order_figure(translator.model, source)}
    if selection is None:
        return {**positions, "attention": attention_figure(attention)}
    token, layer, head = selection
    parts = extraction.self_attention_of(translator, source, layer, head)
    return {
        **positions,
        "steps": attention_steps_figure(attention.source, token=token, **parts),
        "attention": attention_figure(attention, layer, token=token),
    }


def _experts_figures(translator, source: list[int], written, attention: Attention) -> dict:
    """Draws which token goes to which expert, if there are experts."""
    from keras_transformer.illustrate import extraction

    read = [translator.target_tokenizer.bos_id, *written[:-1]]
    if not (gates := extraction.gates_of(translator.model, source, read)):
        return {}
    sides = {"encoder": attention.source, "decoder": attention.read}
    return {"experts": experts_figure(gates, {name: sides[name[:7]] for name in gates})}


def _decoder_figures(translator, source: list[int], labels: list[int], search, beam_size) -> dict:
    """Draws the beam search, and the output distributions before and after training."""
    from keras_transformer.illustrate import extraction

    tokenizer = translator.target_tokenizer
    words = [tokenizer.id_to_token(id) for id in range(tokenizer.vocabulary_size())]
    special_ids = tokenizer.eos_id, translator.model.pad_id

    def token_of(id: int) -> str:
        return extraction.tokens_of(tokenizer, [id])[0]

    return {
        "search": search_figure(*search, token_of, beam_size, *special_ids),
        "distributions": distributions_figure(
            labels, words, *_before_and_after(translator, source, labels)
        ),
    }


def choose(
    attention: Attention,
    token: int | None,
    layer: int | None,
    head: int | None,
    left_out: Collection[int] = (),
) -> tuple[int, int, int] | None:
    """Selects the token, layer and head of the encoder whose attention is shown step by step.

    Those that are `None` are selected by the greatest score between two different words; the token
    is the word "it" if there is one. Layers that are `left_out` are not selected. There is nothing
    to select, `None`, if the encoder has no self-attention.
    """
    scores = attention.encoder
    given = ("token", token), ("layer", layer), ("head", head)
    if not len(scores):
        _check_nothing_is_selected(given)
        return None
    sizes = (scores.shape[2], *scores.shape[:2])
    for (name, value), size in zip(given, sizes, strict=True):
        if value is not None and not 0 <= value < size:
            raise ValueError(f"`{name}` must be at least 0 and less than {size}. Received: {value}")
    words = np.array([any(map(str.isalpha, text)) and text[0] != "<" for text in attention.source])
    if token is None:
        token = _index_of_it(attention.source)
    pairs = words[:, None] & words[None] & ~np.eye(len(words), dtype=bool)
    scores = np.where(pairs, scores, 0) + 1e-9
    if layer is None:
        scores[list(left_out)] = 0
    for axis, value in ((0, layer), (1, head), (2, token)):
        if value is not None:
            others = np.arange(scores.shape[axis]) != value
            scores = np.where(np.expand_dims(others, [a for a in range(4) if a != axis]), 0, scores)
    layer, head, token, _ = np.unravel_index(scores.argmax(), scores.shape)
    return int(token), int(layer), int(head)


def _check_nothing_is_selected(given) -> None:
    """Raises a ValueError if a token, layer or head is given."""
    for name, value in given:
        if value is not None:
            raise ValueError(
                "The encoder of this model has no self-attention that could be shown step by step. "
                f"Leave out `{name}`. Received: {name}={value}"
            )


def _index_of_it(tokens: list[str]) -> int | None:
    """Returns the index of the first word "it", or `None`; a token inside a word does not count."""
    word_start = "▁" if any(text.startswith("▁") for text in tokens) else ""
    return next((n for n, text in enumerate(tokens) if text.lower() == f"{word_start}it"), None)


def _before_and_after(translator, source, labels):
    """Yields the output distributions before and after training, over ids of the tokenizer."""
    from keras_transformer.illustrate import extraction

    known = translator.target_tokenizer.vocabulary_size()
    for model in (extraction.initial_model(translator), translator.model):
        rows = extraction.probabilities_of(translator, source, labels, model)[:, :known]
        yield rows / rows.sum(axis=-1, keepdims=True)  # without ids that only the model has


def _with_eos(ids, eos_id: int) -> list[int]:
    """Appends EOS to a hypothesis that was cut off, so that its last position is shown."""
    return list(ids) if ids and ids[-1] == eos_id else [*ids, eos_id]


def _check(translator, text: str) -> None:
    """Raises ValueError for a text that is empty or too long."""
    if not isinstance(text, str) or not text.strip() or not translator.tokenizer.tokenize(text):
        raise ValueError(
            f"`text` must be a sentence, with at least one token. Received: {text!r:.80}"
        )
    model, length = translator.model, len(translator.tokenizer.tokenize(text)) + 51
    if model.max_positions is not None and length > model.max_positions:
        raise ValueError(
            f"The model has learned {model.max_positions} positions, but this sentence and its "
            f"translation may need {length}. Give a shorter sentence."
        )
