"""Marian's `.npz` files: tensors by Marian's names, and the options of the model."""

import re
import zipfile
import zlib
from pathlib import Path

import numpy as np

from keras_transformer.formats.marian.weights import LOGITS_BIAS, MASKED_LOGIT, Weights

OPTIONS = "special:model.yml"
DAMAGED = (EOFError, KeyError, MemoryError, NotImplementedError, RuntimeError, TypeError)
DAMAGED += (ValueError, zipfile.BadZipFile, zlib.error)
TABLES = {
    "model.shared.weight": "Wemb",
    "model.encoder.embed_tokens.weight": "encoder_Wemb",
    "model.decoder.embed_tokens.weight": "decoder_Wemb",
    "lm_head.weight": "decoder_ff_logit_out_Wt",
}
BIAS = "decoder_ff_logit_out_b"
PARTS = {"self_attn": "self", "encoder_attn": "context"}
NORMALIZATIONS = {
    "self_attn_layer_norm": "self_Wo",
    "encoder_attn_layer_norm": "context_Wo",
    "final_layer_norm": "ffn_ffn",
}
LAYER = re.compile(r"model\.(encoder|decoder)\.layers\.(\d+)\.(.+)\.(weight|bias)")
TOP = re.compile(r"model\.(encoder|decoder)\.layer_norm\.(weight|bias)")


def read_npz(path: Path) -> tuple[str, dict[str, np.ndarray]]:
    """Reads the options, a YAML document, and the tensors of a model.

    Raises:
        ValueError: The file is truncated or damaged, holds pickled objects or numbers other than
            floating-point, or has no options.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except DAMAGED as error:
        reason = "it holds pickled objects" if "pickle" in str(error) else error
        raise ValueError(
            f"{path} is not a complete .npz file of numbers ({reason}): it is truncated, damaged "
            "or of another format. Copy it again."
        ) from error
    if OPTIONS not in arrays:
        raise ValueError(
            f"{path} has no {OPTIONS}, so it is not a model that Marian wrote. Give the .npz file "
            "of the model, not that of the optimizer."
        )
    options = arrays.pop(OPTIONS).tobytes().rstrip(b"\0").decode("utf-8", "replace")
    for name, array in arrays.items():
        if array.dtype.kind != "f":
            raise ValueError(
                f"{path} holds {name} as {array.dtype}. Only floating-point weights can be "
                "imported: give the model that was not quantized."
            )
    return options, {name: array.astype("float32") for name, array in arrays.items()}


class NpzWeights(Weights):
    """Tensors of an `.npz` file, under the names and in the shapes of `MarianMTModel`.

    Padding, which Marian has no id for, gets an embedding of zeros, from which Marian starts a
    sentence; no id that is added is ever probable.

    Args:
        path: The file.
        tensors: Its tensors.
        vocabulary_sizes: Number of ids of source and target in the file.
        norm: `"post"` or `"pre"`.
    """

    model, remedy, config = "Marian model", "", OPTIONS

    def __init__(
        self,
        path: Path,
        tensors: dict[str, np.ndarray],
        vocabulary_sizes: tuple[int, int],
        norm: str,
    ):
        super().__init__(path, tensors)
        self.vocabulary_sizes = vocabulary_sizes
        self.norm = norm

    def name_in_file(self, name: str) -> str:
        if name in TABLES or name == LOGITS_BIAS:
            return TABLES.get(name, BIAS)
        if match := TOP.fullmatch(name):
            return f"{match[1]}_top_ln_{_scale_or_bias(match[2])}"
        if match := LAYER.fullmatch(name):
            side, number, layer, kind = match.groups()
            return f"{side}_l{int(number) + 1}_{self._layer_name(layer, kind)}"
        return name

    def _layer_name(self, layer: str, kind: str) -> str:
        if layer in NORMALIZATIONS:
            suffix = "_pre" if self.norm == "pre" else ""
            return f"{NORMALIZATIONS[layer]}_ln_{_scale_or_bias(kind)}{suffix}"
        letter = "W" if kind == "weight" else "b"
        if layer.startswith("fc"):
            return f"ffn_{letter}{layer[-1]}"
        part, projection = layer.split(".")
        return f"{PARTS[part]}_{letter}{projection[0]}"

    def take(self, name: str, *shape: int) -> np.ndarray:
        own = self.name_in_file(name)
        if name in TABLES:
            size = self.vocabulary_sizes[own not in ("Wemb", "encoder_Wemb")]
            return _with_more_rows(self.take_stored(own, size, shape[1]), shape[0], 0.0)
        if name == LOGITS_BIAS:
            bias = self.take_stored(own, 1, self.vocabulary_sizes[1])
            return _with_more_rows(bias.T, shape[1], MASKED_LOGIT).T
        if len(shape) == 1:
            return self.take_stored(own, 1, *shape)[0]
        return self.take_stored(own, *reversed(shape)).T


def _scale_or_bias(kind: str) -> str:
    return "scale" if kind == "weight" else "bias"


def _with_more_rows(table: np.ndarray, size: int, value: float) -> np.ndarray:
    return np.pad(table, [(0, size - len(table)), (0, 0)], constant_values=value)
