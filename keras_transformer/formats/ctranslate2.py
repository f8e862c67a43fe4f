"""Export to CTranslate2."""

import json
import os
from pathlib import Path

from keras_transformer.forking import refused_after_fork
from keras_transformer.formats.ctranslate2_attention import check_attentions, float32_array
from keras_transformer.formats.ctranslate2_blocks import (
    KNOWN_LAYERS,
    MIN_POSITIONS,
    activation,
    block_has_sizes_of,
    check_layers,
    set_output,
    set_special_tokens,
    set_stack,
    special_tokens,
    tokens,
)
from keras_transformer.formats.ctranslate2_language_model import language_model_spec
from keras_transformer.formats.metadata import MADE_BY
from keras_transformer.io import check_output, output_folder
from keras_transformer.layers import EncoderBlock
from keras_transformer.models import Decoder, Encoder, Transformer
from keras_transformer.translation import TextGenerator

KNOWN = KNOWN_LAYERS | {Transformer, Encoder, Decoder, EncoderBlock}
EXPECTED = (
    "the paper's Transformer, with RotaryEmbedding, RelativeAttention and shared heads of keys and "
    "values"
)
CONFIG, MODEL = "config.json", "model.bin"
FILES = {CONFIG, MODEL, "vocabulary.json"}
FILES |= {f"{side}_vocabulary.json" for side in ("shared", "source", "target")}


@refused_after_fork
def export_ctranslate2(translator, folder: str | os.PathLike) -> None:
    """Writes a folder that CTranslate2 loads: tokens in, tokens out.

    `ctranslate2.Translator(folder)` loads a translator. Tokens are those of the tokenizer, as
    strings, without BOS and EOS, which CTranslate2 adds. `ctranslate2.Generator(folder)` loads a
    language model, whose prompts start with BOS.

    The exported model computes the same as the original, in float32; a lower precision is chosen
    when it is loaded (`compute_type="int8"`). CTranslate2 searches with its own implementation: the
    defaults of its options differ from those of `Translator.translate`, it may emit padding, and it
    reads only the first 1024 source tokens unless `max_input_length` is changed. The folder is
    written atomically.

    The format is that of [CTranslate2](https://opennmt.net/CTranslate2/), `ctranslate2.specs`.

    Args:
        translator: A `Translator` or `TextGenerator`.
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
        import ctranslate2.specs  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "Exporting to CTranslate2 needs its package: `pip install ctranslate2`, or install "
            "keras-transformer with the extra `ctranslate2`."
        ) from error
    check_output(folder, _is_ours)  # before the work
    if isinstance(translator, TextGenerator):
        spec = language_model_spec(translator)
    else:
        spec = _translation_spec(translator)
    for key, value in MADE_BY.items():
        spec.config.add_attribute(key, value)
    spec.validate()
    spec.optimize()  # writes shared tables only once
    with output_folder(folder, _is_ours, last=MODEL) as new:
        spec.save(str(new))


def _translation_spec(translator):
    """Returns the specification of a translator, with its weights and vocabularies."""
    from ctranslate2.specs import TransformerSpec

    model = translator.model
    _check_parts(model)
    spec = TransformerSpec.from_config(
        (len(model.encoder.blocks), len(model.decoder.blocks)),
        model.num_heads,
        pre_norm=model.norm == "pre",
        activation=activation(model.activation),
    )
    _set_vocabularies(spec, translator)
    _set_weights(spec, model, max(MIN_POSITIONS, 2 * translator.max_source_length))
    return spec


def _check_parts(model) -> None:
    """Raises ValueError, which names the part, if CTranslate2 cannot compute one."""
    check_layers(model, KNOWN, EXPECTED)
    for name in model.PARTS:
        if not (model.is_standard(name) or _has_sizes_of(getattr(model, name), model)):
            raise ValueError(
                "CTranslate2 computes stacks of equal blocks only. Received: a model whose "
                f"{name} has other sizes than the model itself"
            )
    check_attentions(model.encoder, model.source_embedding)
    check_attentions(model.decoder, model.target_embedding)


def _has_sizes_of(stack, model) -> bool:
    """Returns whether a stack is as the sizes of a model say, but for parts of its attentions."""
    if type(stack) not in (Encoder, Decoder) or stack.norm != model.norm:
        return False
    return stack.is_standard("final_normalization") and all(
        type(block) is stack.block_class and block_has_sizes_of(block, model)
        for block in stack.blocks
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


def _set_vocabularies(spec, translator) -> None:
    """Sets the tokens of all ids, the special tokens and the other entries of `config.json`."""
    model, source, target = translator.model, translator.tokenizer, translator.target_tokenizer
    spec.register_source_vocabulary(tokens(source, model.vocabulary_size))
    spec.register_target_vocabulary(
        tokens(target, model.target_vocabulary_size or model.vocabulary_size)
    )
    special, target_special = special_tokens(source), special_tokens(target)
    if special != target_special:
        raise ValueError(
            "CTranslate2 needs the same BOS, EOS and unknown token in source and target. "
            f"Received: {', '.join(special)} and {', '.join(target_special)}"
        )
    config = spec.config
    set_special_tokens(config, special)
    config.decoder_start_token = config.bos_token
    config.add_source_bos, config.add_source_eos = False, True
    config.layer_norm_epsilon = model.epsilon
    config.add_attribute("max_positions", model.max_positions)  # for those who load the folder


def _set_weights(spec, model, positions: int) -> None:
    set_stack(spec.encoder, model.encoder, model.source_embedding, positions)
    set_stack(spec.decoder, model.decoder, model.target_embedding, positions)
    spec.encoder.embeddings[0].weight = float32_array(model.source_embedding.tokens.embeddings)
    set_output(spec.decoder, model.target_embedding)
