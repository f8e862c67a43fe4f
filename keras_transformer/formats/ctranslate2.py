"""Export to CTranslate2."""

import json
import os
from pathlib import Path

import keras
import numpy as np

from keras_transformer.forking import refused_after_fork
from keras_transformer.formats.ctranslate2_attention import (
    attention_spec,
    check_attentions,
    float32_array,
    has_sizes_of,
    set_linear,
)
from keras_transformer.formats.metadata import MADE_BY
from keras_transformer.io import check_output, output_folder
from keras_transformer.keras_patches import layers_of
from keras_transformer.layers import (
    AddAndNorm,
    DecoderBlock,
    DotProductAttention,
    Dropout,
    EncoderBlock,
    FeedForward,
    MultiHeadAttention,
    PositionalEmbedding,
    RelativeAttention,
    RotaryEmbedding,
    sinusoids,
)
from keras_transformer.layers.position_encoders import LearnedPositions
from keras_transformer.models import Decoder, Encoder, Transformer

MIN_POSITIONS = 2048
ACTIVATIONS = {"relu": "RELU", "gelu": "GELU", "silu": "SWISH"}  # Keras' name: CTranslate2's
KNOWN_LAYERS = {
    AddAndNorm,
    Decoder,
    DecoderBlock,
    DotProductAttention,
    Dropout,
    Encoder,
    EncoderBlock,
    FeedForward,
    LearnedPositions,
    MultiHeadAttention,
    PositionalEmbedding,
    RelativeAttention,
    RotaryEmbedding,
    Transformer,
    keras.layers.Dense,
    keras.layers.LayerNormalization,
    keras.layers.ReversibleEmbedding,
}
BLOCK_SIZES = ("d_model", "num_heads", "d_ff", "norm", "activation", "use_bias", "epsilon")
CONFIG, MODEL = "config.json", "model.bin"
FILES = {CONFIG, MODEL} | {f"{side}_vocabulary.json" for side in ("shared", "source", "target")}


@refused_after_fork
def export_ctranslate2(translator, folder: str | os.PathLike) -> None:
    """Writes a folder that `ctranslate2.Translator(folder)` loads: tokens in, tokens out.

    Tokens are those of the tokenizer, as strings, without BOS and EOS, which CTranslate2 adds.
    The exported model computes the same as the original, in float32; a lower precision is chosen
    when it is loaded (`compute_type="int8"`). CTranslate2 searches with its own implementation: the
    defaults of its options differ from those of `Translator.translate`, it may emit padding, and it
    reads only the first 1024 source tokens unless `max_input_length` is changed. The folder is
    written atomically.

    The format is that of [CTranslate2](https://opennmt.net/CTranslate2/), `ctranslate2.specs`.

    Args:
        translator: A `Translator`.
        folder: Folder to write, or its URL. It may exist if it is empty or was written by this
            function.

    Raises:
        FileExistsError: The folder holds something else.
        ImportError: CTranslate2 is not installed.
        ValueError: CTranslate2 cannot express what the translator computes.

    Example:

    ```python
    translator = Translator.load("runs/mine")
    export_ctranslate2(translator, "mine.ct2")

    tokenizer, engine = translator.tokenizer, ctranslate2.Translator("mine.ct2")
    tokens = [tokenizer.id_to_token(id) for id in tokenizer.tokenize("A dog runs.")]
    engine.translate_batch([tokens])[0].hypotheses[0]  # ["▁Ein", "▁Hund", ...]
    ```
    """
    try:
        from ctranslate2.specs import TransformerSpec
    except ImportError as error:
        raise ImportError(
            "Exporting to CTranslate2 needs its package: `pip install ctranslate2`, or install "
            "keras-transformer with the extra `ctranslate2`."
        ) from error
    check_output(folder, _is_ours)  # before the work
    model = translator.model
    _check_parts(model)
    num_layers = (len(model.encoder.blocks), len(model.decoder.blocks))
    spec = TransformerSpec.from_config(
        num_layers,
        model.num_heads,
        pre_norm=model.norm == "pre",
        activation=_activation(model.activation),
    )
    _set_vocabularies(spec, translator)
    _set_weights(spec, model, max(MIN_POSITIONS, 2 * translator.max_source_length))
    spec.validate()
    spec.optimize()  # writes shared tables only once
    with output_folder(folder, _is_ours, last=MODEL) as new:
        spec.save(str(new))


def _check_parts(model) -> None:
    """Raises ValueError, which names the part, if CTranslate2 cannot compute one."""
    for layer in layers_of(model):
        if type(layer) not in KNOWN_LAYERS:
            raise ValueError(
                "CTranslate2 computes the paper's Transformer, with RotaryEmbedding, "
                "RelativeAttention and shared heads of keys and values, and no other parts. "
                f"Received: a {type(layer).__name__} at {layer.path!r}. "
                "Export to a SavedModel or a .keras file, which hold any part."
            )
    for name in model.PARTS:
        if not (model.is_standard(name) or _has_sizes_of(getattr(model, name), model)):
            raise ValueError(
                "CTranslate2 computes stacks of equal blocks only. Received: a model whose "
                f"{name} has other sizes than the model itself"
            )
    check_attentions(model)


def _has_sizes_of(stack, model) -> bool:
    """Returns whether a stack is as the sizes of a model say, but for parts of its attentions."""
    if type(stack) not in (Encoder, Decoder) or stack.norm != model.norm:
        return False
    return stack.is_standard("final_normalization") and all(
        type(block) is stack.block_class and _block_has_sizes_of(block, model)
        for block in stack.blocks
    )


def _block_has_sizes_of(block, model) -> bool:
    attentions = [getattr(block, name) for name in block.PARTS if name != "feed_forward"]
    return (
        all(getattr(block, size) == getattr(model, size) for size in BLOCK_SIZES)
        and block.is_standard("feed_forward")
        and all(has_sizes_of(attention, model) for attention in attentions)
    )


def _is_ours(folder: Path) -> bool:
    """Returns whether everything in a folder was written by this module."""
    if not {path.name for path in folder.iterdir()} <= FILES:
        return False
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        return MADE_BY.items() <= config.items()
    except (OSError, ValueError, AttributeError):
        return False


def _activation(function):
    """Returns the CTranslate2 counterpart of a Keras activation."""
    from ctranslate2.specs.common_spec import Activation

    name = keras.activations.serialize(function)
    if name not in ACTIVATIONS:
        raise ValueError(
            f"CTranslate2 supports the activations {', '.join(ACTIVATIONS)}. Received: {name!r}"
        )
    return Activation[ACTIVATIONS[name]]


def _set_vocabularies(spec, translator) -> None:
    """Sets the tokens of all ids, the special tokens and the other entries of `config.json`."""
    model, source, target = translator.model, translator.tokenizer, translator.target_tokenizer
    spec.register_source_vocabulary(_tokens(source, model.vocabulary_size))
    spec.register_target_vocabulary(
        _tokens(target, model.target_vocabulary_size or model.vocabulary_size)
    )
    special, target_special = _special_tokens(source), _special_tokens(target)
    if special != target_special:
        raise ValueError(
            "CTranslate2 needs the same BOS, EOS and unknown token in source and target. "
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
    """Returns the tokens of ids 0 to `size - 1`, with fillers for ids unknown to the tokenizer."""
    known = tokenizer.vocabulary_size()
    tokens = [tokenizer.id_to_token(id) for id in range(known)]
    tokens += [f"<unused {id}>" for id in range(known, size)]
    ids = {}
    for id, token in enumerate(tokens):
        if ids.setdefault(token, id) != id:
            raise ValueError(
                "CTranslate2 identifies tokens by their text, so all texts must be distinct. "
                f"Received: {token!r} with the ids {ids[token]} and {id}"
            )
    return tokens


def _special_tokens(tokenizer) -> list[str]:
    ids = (tokenizer.bos_id, tokenizer.eos_id, tokenizer.unk_id)
    return [tokenizer.id_to_token(id) for id in ids]


def _set_weights(spec, model, positions: int) -> None:
    for stack, embedding, stack_spec in (
        (model.encoder, model.source_embedding, spec.encoder),
        (model.decoder, model.target_embedding, spec.decoder),
    ):
        stack_spec.scale_embeddings = True  # of inputs; the output projection is not scaled
        stack_spec.position_encodings.encodings = _position_table(embedding, positions)
        if stack.final_normalization is not None:
            _set_normalization(stack_spec.layer_norm, stack.final_normalization)
        for block, block_spec in zip(stack.blocks, stack_spec.layer, strict=True):
            _set_block(block_spec, block)
    spec.encoder.embeddings[0].weight = float32_array(model.source_embedding.tokens.embeddings)
    table = float32_array(model.target_embedding.tokens.embeddings)
    spec.decoder.embeddings.weight = spec.decoder.projection.weight = table
    if model.use_bias:
        spec.decoder.projection.bias = float32_array(model.target_embedding.bias)


def _position_table(embedding, positions: int):
    """Returns the position encodings; without a table, CTranslate2 adds its own sinusoids."""
    if embedding.positions is None:
        return np.zeros((positions, embedding.d_model), "float32")
    if embedding.positions == "learned":
        return float32_array(embedding.learned_positions.embeddings)
    return float32_array(sinusoids(np.arange(positions), embedding.d_model, embedding.positions))


def _set_block(spec, block) -> None:
    """Sets the weights of an encoder or decoder block."""
    spec.self_attention = attention_spec(block.self_attention, self_attention=True)
    _set_normalization(spec.self_attention.layer_norm, block.self_attention_residual.normalization)
    if hasattr(spec, "attention"):
        spec.attention = attention_spec(block.cross_attention, self_attention=False)
        _set_normalization(spec.attention.layer_norm, block.cross_attention_residual.normalization)
    set_linear(spec.ffn.linear_0, block.feed_forward.hidden)
    set_linear(spec.ffn.linear_1, block.feed_forward.output_projection)
    _set_normalization(spec.ffn.layer_norm, block.feed_forward_residual.normalization)


def _set_normalization(spec, normalization) -> None:
    spec.gamma, spec.beta = float32_array(normalization.gamma), float32_array(normalization.beta)
