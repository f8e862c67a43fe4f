"""Configuration files of a Marian checkpoint."""

import dataclasses
import json
from pathlib import Path

CONFIG, GENERATION_CONFIG = "config.json", "generation_config.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
EPSILON = 1e-5  # PyTorch's default; the configuration has no such key
ACTIVATIONS = {"relu": "relu", "gelu": "gelu", "swish": "silu", "silu": "silu"}
SHARED_SIZES = ("attention_heads", "ffn_dim")
SPECIAL_IDS = ("pad_token_id", "decoder_start_token_id", "eos_token_id")


@dataclasses.dataclass(frozen=True)
class MarianConfig:
    """Configuration of a checkpoint: everything but weights and vocabulary.

    Attributes:
        model: Constructor arguments of the `Transformer`.
        special_ids: `pad_id`, `bos_id` and `eos_id`.
        scales_embedding: Whether token embeddings are multiplied by `sqrt(d_model)`.
        max_source_length: Maximum number of source tokens, EOS included.
        languages: `source_language` and `target_language`, where known.
        activation_scale: Factor on what enters the activation of the feed-forward networks, and
            divisor of what leaves it.
    """

    model: dict
    special_ids: dict
    scales_embedding: bool
    max_source_length: int
    languages: dict
    activation_scale: float = 1.0


def read_config(folder: Path) -> MarianConfig:
    """Reads the configuration of a checkpoint.

    Raises:
        FileNotFoundError: The folder does not hold a checkpoint.
        ValueError: The checkpoint is of another kind of model, damaged, or of an unsupported form.
    """
    config = _read_config(folder)
    path = folder / CONFIG
    shared = config.get("share_encoder_decoder_embeddings", True)
    sizes = {
        key: _whole_number(config, key, path, least=1)
        for key in (
            *("vocab_size", "d_model", "encoder_layers", "decoder_layers"),
            *(f"{side}_{size}" for size in SHARED_SIZES for side in ("encoder", "decoder")),
            "max_position_embeddings",
        )
    }
    for size in SHARED_SIZES:
        if sizes[f"encoder_{size}"] != sizes[f"decoder_{size}"]:
            raise ValueError(
                f"{path} has different values for encoder_{size} and decoder_{size}. In a "
                "`Transformer` they are equal, so this checkpoint cannot be imported. Received: "
                f"{sizes[f'encoder_{size}']} and {sizes[f'decoder_{size}']}"
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
    """Reads a JSON file that holds an object."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON ({error}): it is damaged. Copy it again.") from error
    if not isinstance(config, dict):
        raise ValueError(f"{path} must hold a JSON object. Received: {type(config).__name__}")
    return config


def _read_config(folder: Path) -> dict:
    """Reads `config.json`, with special ids overridden by those of `generation_config.json`."""
    path = folder / CONFIG
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no {path}, so {folder} is not a Marian checkpoint; and there is no "
            "decoder.yml, so it is not a release of Marian's own, either. Give the folder that "
            "`MarianMTModel.save_pretrained` wrote, or a release with its decoder.yml and .npz."
        )
    config = read_json(path)
    if config.get("model_type") != "marian":
        raise ValueError(
            f"{path} describes another kind of model. Expected model_type 'marian'. Received: "
            f"{config.get('model_type')!r}"
        )
    generation = folder / GENERATION_CONFIG
    if generation.is_file():
        overrides = read_json(generation)
        config |= {key: overrides[key] for key in SPECIAL_IDS if overrides.get(key) is not None}
    return config


def _whole_number(config: dict, key: str, path: Path, least: int) -> int:
    value = config.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(
            f"{path} must set {key} to an integer of at least {least}. Received: {value!r}"
        )
    return value


def _target_size(config: dict, path: Path) -> int:
    key = "vocab_size" if config.get("decoder_vocab_size") is None else "decoder_vocab_size"
    return _whole_number(config, key, path, least=1)


def _dropout_rate(config: dict, path: Path) -> float:
    rate = config.get("dropout", 0.1)
    if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate < 1:
        raise ValueError(
            f"{path} must set dropout to a number of at least 0 and less than 1, or leave it out. "
            f"Received: {rate!r}"
        )
    return rate


def _activation(config: dict, path: Path) -> str:
    name = config.get("activation_function", "gelu")
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise ValueError(
            f"{path} must set activation_function to one of {', '.join(ACTIVATIONS)}. "
            f"Received: {name!r}"
        )
    return ACTIVATIONS[name]


def _languages(folder: Path) -> dict[str, str]:
    """Reads the languages from the tokenizer's configuration, if the checkpoint has one."""
    path = folder / TOKENIZER_CONFIG
    config = read_json(path) if path.is_file() else {}
    keys = {"source_language": "source_lang", "target_language": "target_lang"}
    languages = {name: config.get(key) for name, key in keys.items()}
    return {name: code for name, code in languages.items() if code and isinstance(code, str)}
