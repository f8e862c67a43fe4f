"""Extraction of the latents of a translation, and of what other latents would change."""

import numpy as np
from keras import ops

from keras_transformer.decoding.latent_search import END
from keras_transformer.illustrate.attention_view import Attention
from keras_transformer.illustrate.extraction import tokens_of
from keras_transformer.illustrate.latents import LatentChange


def latents_of(translator, source: list[int], latents: list[int], alternatives: int = 3) -> dict:
    """Returns the latents of a translation, their words, and those with one latent changed.

    Args:
        translator: `Translator` of a `LatentTransformer`.
        source: Ids of the source, ending with EOS.
        latents: Ids of latents, as the search finds them.
        alternatives: Integer. How many other latents are tried at each place, the most probable.

    Returns:
        A dict of the arguments of `latents_figure`.
    """
    model = translator.model
    ids = np.array([id for id in latents if id > END], "int32")
    memory = model.encode(ops.convert_to_tensor(np.array([source], "int32")))
    logits = model.latent_logits(ids[None], memory.encoder_output, memory.mask)
    probabilities = ops.convert_to_numpy(ops.softmax(ops.cast(logits, "float32")))[0]
    places, variants = [], [ids]
    for place, chosen in enumerate(ids):
        order = np.argsort(-probabilities[place], kind="stable")
        others = [id for id in order if id > END and id != chosen][:alternatives]
        for other in others:
            places.append((place, other))
            variants.append(np.where(np.arange(len(ids)) == place, other, ids))
    found = model.words(ops.convert_to_tensor(np.stack(variants))[None], memory)
    rows = ops.convert_to_numpy(found)[0]
    words = [_words_of(translator, row, model.words_per_latent) for row in rows]
    return {
        "codes": [int(id) - END - 1 for id in ids],
        "probabilities": [float(probabilities[place, id]) for place, id in enumerate(ids)],
        "words": words[0],
        "changes": [
            LatentChange(place, int(id) - END - 1, float(probabilities[place, id]), changed)
            for (place, id), changed in zip(places, words[1:], strict=True)
        ],
    }


def _words_of(translator, ids, words_per_latent: int) -> list[list[str]]:
    """Returns the tokens of each latent, up to the first EOS."""
    eos = np.flatnonzero(ids == translator.target_tokenizer.eos_id)
    written = ids[: eos[0] + 1] if len(eos) else ids
    tokens = tokens_of(translator.target_tokenizer, written.tolist())
    return [tokens[at : at + words_per_latent] for at in range(0, len(ids), words_per_latent)]


def encoder_attention_of(translator, source: list[int]) -> Attention:
    """Returns the attention scores of the encoder alone."""
    bos = np.array([[translator.target_tokenizer.bos_id]], "int32")
    inputs = {"source": np.array([source], "int32"), "target": bos}
    _, scores = translator.model(inputs, training=False, return_attention_scores=True)
    encoder = np.stack([ops.convert_to_numpy(block)[0] for block in scores["encoder"]])
    return Attention(tokens_of(translator.tokenizer, source), encoder)
