"""What the JSON files of a Marian checkpoint say."""

import dataclasses
import json
from pathlib import Path

CONFIG, GENERATION_CONFIG = "config.json", "generation_config.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
EPSILON = 1e-5  # PyTorch's; the configuration does not name it
ACTIVATIONS = {"relu": "relu", "gelu": "gelu", "swish": "silu", "silu": "silu"}
SAME_ON_BOTH_SIDES = ("attention_heads", "ffn_dim")
SPECIAL_IDS = ("pad_token_id", "decoder_start_token_id", "eos_token_id")


@dataclasses.dataclass(frozen=True)
class MarianConfig:
    """A checkpoint without its numbers and words.

    Attributes:
        model: Arguments of the `Transformer`.
        special_ids: `pad_id`, `bos_id` and `eos_id`.
        scales_embedding: Whether vectors of tokens are multiplied by `sqrt(d_model)`.
        max_source_length: Most source tokens, EOS included.
        languages: `source_language` and `target_language`, if they are known.
    """

    model: dict
    special_ids: dict
    scales_embedding: bool
    max_source_length: int
    languages: dict


def read_config(folder: Path) -> MarianConfig:
    """Reads the settings of a checkpoint.

    Raises:
        FileNotFoundError: There is no checkpoint.
        ValueError: It is of another kind of model, damaged, or of a form that is not supported.
    """
    config = _read_config(folder)
    path = folder / CONFIG
    shared = config.get("share_encoder_decoder_embeddings", True)
    sizes = {
        key: _whole_number(config, key, path, least=1)
        for key in (
            *("vocab_size", "d_model", "encoder_layers", "decoder_layers"),
            *(f"{side}_{what}" for what in SAME_ON_BOTH_SIDES for side in ("encoder", "decoder")),
            "max_position_embeddings",
        )
    }
    for what in SAME_ON_BOTH_SIDES:
        if sizes[f"encoder_{what}"] != sizes[f"decoder_{what}"]:
            raise ValueError(
                f"{path} has different values for encoder_{what} and decoder_{what}; a "
                "`Transformer` has the same. Such a checkpoint cannot be imported. Received: "
                f"{sizes[f'encoder_{what}']} and {sizes[f'decoder_{what}']}"
            )
    pad, bos, eos = (_whole_number(config, key, path, least=0) for key in SPECIAL_IDS)
    model = {
        "vocabulary_size": sizes["vocab_size"],
        "num_layers": sizes["encoder_layers"],
        "d_model": sizes["d_model"],
        "num_heads": sizes["encoder_attention_heads"],
        "d_ff": sizes["encoder_ffn_dim"],
        "dropout_rate": _dropout_rate(config, path),
        "num_decoder_layers": sizes["decoder_layers"],
        "target_vocabulary_size": None if shared else _target_size(config, path),
        "pad_id": pad,
        "activation": _activation(config, path),
        "use_bias": True,
        "epsilon": EPSILON,
    }
    return MarianConfig(
        model,
        {"pad_id": pad, "bos_id": bos, "eos_id": eos},
        bool(config.get("scale_embedding", False)),
        sizes["max_position_embeddings"],
        _languages(folder),
    )


def read_json(path: Path) -> dict:
    """The object that a JSON file holds."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON ({error}): it is damaged. Copy it again.") from error
    if not isinstance(config, dict):
        raise ValueError(f"{path} must hold a JSON object. Received: {type(config).__name__}")
    return config


def _read_config(folder: Path) -> dict:
    """`config.json`, with the special ids that `generation_config.json` may have in its place."""
    path = folder / CONFIG
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no {path}, so {folder} is not a Marian checkpoint. Give the folder that "
            "`MarianMTModel.save_pretrained` wrote, or a download of one."
        )
    config = read_json(path)
    if config.get("model_type") != "marian":
        raise ValueError(
            f"{path} describes another kind of model. Expected model_type 'marian'. Received: "
            f"{config.get('model_type')!r}"
        )
    generation = folder / GENERATION_CONFIG
    if generation.is_file():
        given = read_json(generation)
        config |= {key: given[key] for key in SPECIAL_IDS if given.get(key) is not None}
    return config


def _whole_number(config: dict, key: str, path: Path, least: int) -> int:
    value = config.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(
            f"{path} must name {key}, a whole number of at least {least}. Received: {value!r}"
        )
    return value


def _target_size(config: dict, path: Path) -> int:
    key = "vocab_size" if config.get("decoder_vocab_size") is None else "decoder_vocab_size"
    return _whole_number(config, key, path, least=1)


def _dropout_rate(config: dict, path: Path) -> float:
    rate = config.get("dropout", 0.1)
    if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate < 1:
        raise ValueError(
            f"{path} must name dropout, a number from 0 to below 1, or leave it out. Received: "
            f"{rate!r}"
        )
    return rate


def _activation(config: dict, path: Path) -> str:
    name = config.get("activation_function", "gelu")
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise ValueError(
            f"{path} names an activation_function that is not supported; those that are: "
            f"{', '.join(ACTIVATIONS)}. Received: {name!r}"
        )
    return ACTIVATIONS[name]


def _languages(folder: Path) -> dict[str, str]:
    """What the tokenizer's own configuration calls the languages, if it is there."""
    path = folder / TOKENIZER_CONFIG
    config = read_json(path) if path.is_file() else {}
    names = {"source_lang": "source_language", "target_lang": "target_language"}
    known = {ours: config.get(theirs) for theirs, ours in names.items()}
    return {ours: name for ours, name in known.items() if name and isinstance(name, str)}
