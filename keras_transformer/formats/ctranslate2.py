"""From a translator to the folder of a CTranslate2 model."""

import json
import os
from pathlib import Path

import keras
import numpy as np

from keras_transformer.formats.metadata import MADE_BY
from keras_transformer.io import atomic_folder, check_free
from keras_transformer.layers import sinusoids
from keras_transformer.models import Transformer

LEAST_POSITIONS = 2048
ACTIVATIONS = {"relu": "RELU", "gelu": "GELU", "silu": "SWISH"}  # Keras' names, and theirs
CONFIG = "config.json"
FILES = {CONFIG, "model.bin"} | {
    f"{side}_vocabulary.json" for side in ("shared", "source", "target")
}


def export_ctranslate2(translator, folder: str | os.PathLike) -> None:
    """Writes a folder that `ctranslate2.Translator(folder)` loads: tokens in, tokens out.

    Tokens are the tokenizer's pieces, as strings, without BOS and EOS: those are added. What is
    written computes what the model computes, in float32; smaller numbers are chosen on loading
    (`compute_type="int8"`). The search is CTranslate2's own: its options have other defaults than
    `Translator.translate`'s, it lets padding be written, and reads the first 1024 source tokens
    unless `max_input_length` says otherwise. The folder appears whole or not at all.

    The format is that of [CTranslate2](https://opennmt.net/CTranslate2/), `ctranslate2.specs`.

    Args:
        translator: A `Translator`.
        folder: What to write. It may be there if it is empty or was written by this function.

    Raises:
        FileExistsError: Something else is there.
        ImportError: CTranslate2 is not installed.
        ValueError: CTranslate2 has no way to say what the translator does.

    Example:

    ```python
    translator = Translator.load("runs/mine")
    export_ctranslate2(translator, "mine.ct2")

    tokenizer, other = translator.tokenizer, ctranslate2.Translator("mine.ct2")
    pieces = [tokenizer.id_to_token(id) for id in tokenizer.tokenize("A dog runs.")]
    other.translate_batch([pieces])[0].hypotheses[0]  # ["▁Ein", "▁Hund", ...]
    ```
    """
    try:
        from ctranslate2.specs import TransformerSpec
    except ImportError as error:
        raise ImportError(
            "Exporting to CTranslate2 needs its package: `pip install ctranslate2`, or install "
            "keras-transformer with the extra `ctranslate2`."
        ) from error
    folder = Path(folder)
    check_free(folder, _is_ours)
    model = translator.model
    if not isinstance(model, Transformer):
        raise ValueError(
            f"Only a `Transformer` can be exported to CTranslate2. Received: {type(model).__name__}"
        )
    layers = (len(model.encoder.blocks), len(model.decoder.blocks))
    spec = TransformerSpec.from_config(
        layers,
        model.num_heads,
        pre_norm=model.norm == "pre",
        activation=_activation(model.activation),
    )
    _set_vocabularies(spec, translator)
    _set_weights(spec, model, max(LEAST_POSITIONS, 2 * translator.max_source_length))
    spec.validate()
    spec.optimize()  # a table that is used twice is written once
    with atomic_folder(folder, _is_ours) as new:
        spec.save(str(new))


def _is_ours(folder: Path) -> bool:
    """Whether all that the folder holds was written here."""
    if not {path.name for path in folder.iterdir()} <= FILES:
        return False
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        return MADE_BY.items() <= config.items()
    except (OSError, ValueError, AttributeError):
        return False


def _activation(function):
    """What CTranslate2 calls it."""
    from ctranslate2.specs.common_spec import Activation

    name = keras.activations.serialize(function)
    if name not in ACTIVATIONS:
        raise ValueError(
            f"CTranslate2 can have the activations {', '.join(ACTIVATIONS)}. Received: {name!r}"
        )
    return Activation[ACTIVATIONS[name]]


def _set_vocabularies(spec, translator) -> None:
    """Every id's token, and how a sentence starts and ends."""
    model, source, target = translator.model, translator.tokenizer, translator.target_tokenizer
    spec.register_source_vocabulary(_tokens(source, model.vocabulary_size))
    spec.register_target_vocabulary(
        _tokens(target, model.target_vocabulary_size or model.vocabulary_size)
    )
    special, target_special = _special_tokens(source), _special_tokens(target)
    if special != target_special:
        raise ValueError(
            "CTranslate2 calls BOS, EOS and the unknown token the same in source and target. "
            f"Received: {', '.join(special)} and {', '.join(target_special)}"
        )
    config = spec.config
    config.bos_token, config.eos_token, config.unk_token = special
    config.decoder_start_token = config.bos_token
    config.add_source_bos, config.add_source_eos = False, True
    config.layer_norm_epsilon = model.epsilon
    for key, value in MADE_BY.items():
        config.add_attribute(key, value)


def _tokens(tokenizer, size: int) -> list[str]:
    """The tokens of ids 0 to `size`; a model may have ids that its tokenizer never gives."""
    known = tokenizer.vocabulary_size()
    tokens = [tokenizer.id_to_token(id) for id in range(known)]
    tokens += [f"<unused {id}>" for id in range(known, size)]
    ids = {}
    for id, token in enumerate(tokens):
        if ids.setdefault(token, id) != id:
            raise ValueError(
                "CTranslate2 tells tokens apart by their text, so no two may have the same. "
                f"Received: {token!r} with the ids {ids[token]} and {id}"
            )
    return tokens


def _special_tokens(tokenizer) -> list[str]:
    ids = (tokenizer.bos_id, tokenizer.eos_id, tokenizer.unk_id)
    return [tokenizer.id_to_token(id) for id in ids]


def _set_weights(spec, model, positions: int) -> None:
    for stack, embedding, to in (
        (model.encoder, model.source_embedding, spec.encoder),
        (model.decoder, model.target_embedding, spec.decoder),
    ):
        to.scale_embeddings = True  # on the way in; the output's projection has no scale
        to.position_encodings.encodings = _position_table(embedding, positions)
        if stack.final_normalization is not None:
            _set_normalization(to.layer_norm, stack.final_normalization)
        for block, layer in zip(stack.blocks, to.layer, strict=True):
            _set_block(layer, block)
    spec.encoder.embeddings[0].weight = _array(model.source_embedding.tokens.embeddings)
    table = _array(model.target_embedding.tokens.embeddings)
    spec.decoder.embeddings.weight = spec.decoder.projection.weight = table
    if model.use_bias:
        spec.decoder.projection.bias = _array(model.target_embedding.bias)


def _position_table(embedding, positions: int):
    """What is added at every position: without a table CTranslate2 adds sinusoids of its own."""
    if embedding.positions is None:
        return np.zeros((positions, embedding.d_model), "float32")
    if embedding.positions == "learned":
        return _array(embedding.learned_positions.embeddings)
    return _array(sinusoids(np.arange(positions), embedding.d_model, embedding.positions))


def _set_block(layer, block) -> None:
    """An encoder's or a decoder's block."""
    if hasattr(layer, "attention"):
        _set_attention(layer.self_attention, block.self_attention, block.self_attention_residual)
        _set_attention(layer.attention, block.cross_attention, block.cross_attention_residual)
    else:
        _set_attention(layer.self_attention, block.self_attention, block.self_attention_residual)
    _set_linear(layer.ffn.linear_0, block.feed_forward.hidden)
    _set_linear(layer.ffn.linear_1, block.feed_forward.output_projection)
    _set_normalization(layer.ffn.layer_norm, block.feed_forward_residual.normalization)


def _set_attention(to, attention, residual) -> None:
    """Query, key and value are one matrix; across, where the query is the target's, two."""
    parts = [attention.query_projection, attention.key_projection, attention.value_projection]
    *inputs, output = to.linear
    groups = [parts] if len(inputs) == 1 else [parts[:1], parts[1:]]
    for linear, layers in zip(inputs, groups, strict=True):
        _set_linear(linear, *layers)
    _set_linear(output, attention.output_projection)
    _set_normalization(to.layer_norm, residual.normalization)


def _set_linear(to, *layers) -> None:
    to.weight = np.concatenate([_array(layer.kernel).T for layer in layers])
    if layers[0].use_bias:
        to.bias = np.concatenate([_array(layer.bias) for layer in layers])


def _set_normalization(to, normalization) -> None:
    to.gamma, to.beta = _array(normalization.gamma), _array(normalization.beta)


def _array(tensor):
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    if not keras.backend.is_float_dtype(dtype):
        raise ValueError(
            "Weights must not be quantised before they are exported to CTranslate2, which does it "
            f"by itself. Received: weights of type {dtype}"
        )
    return keras.ops.convert_to_numpy(tensor).astype("float32")
