"""Conversion of the tensors of a Marian checkpoint to the weights of a `Transformer`.

Two conventions differ. Both are converted without changing the function that is computed:

- Marian concatenates the sines and cosines of a position, the paper interleaves them. The features
  of all weights are therefore permuted (`feature_order`).
- If Marian does not scale its embeddings, the embedding table is divided by the scale, and the
  output of the last normalization is multiplied by it.
"""

from pathlib import Path

import numpy as np

from keras_transformer.formats.safetensors_file import read_safetensors

FILE = "model.safetensors"
UNSUPPORTED_FILES = {
    "pytorch_model.bin": "is a pickle, which can run arbitrary code when it is loaded",
    FILE + ".index.json": "belongs to weights that are split into several files",
}
SHARED_TABLE = "model.shared.weight"
SOURCE_TABLES = (SHARED_TABLE, "model.encoder.embed_tokens.weight")
TARGET_TABLES = (SHARED_TABLE, "model.decoder.embed_tokens.weight", "lm_head.weight")
LOGITS_BIAS = "final_logits_bias"
MASKED_LOGIT = -1000.0  # zero probability, yet a finite loss with label smoothing


class Weights:
    """Tensors of a checkpoint that are not yet used, by the names of `MarianMTModel`.

    Args:
        path: The file that holds them.
        tensors: All tensors of the file.
    """

    model, remedy = "`MarianMTModel`", ", or save it with `MarianMTModel.save_pretrained`"
    config = "config.json"

    def __init__(self, path: Path, tensors: dict[str, np.ndarray]):
        self.path = path
        self.remaining = dict(tensors)

    def name_in_file(self, name: str) -> str:
        """Returns the name that a tensor has in the file."""
        return name

    def has(self, name: str) -> bool:
        """Returns whether a tensor remains."""
        return self.name_in_file(name) in self.remaining

    def take(self, name: str, *shape: int) -> np.ndarray:
        """Removes and returns a tensor.

        Raises:
            ValueError: The tensor is missing or has another shape.
        """
        return self.take_stored(name, *shape)

    def take_stored(self, name: str, *shape: int) -> np.ndarray:
        """Removes and returns a tensor by its name and shape in the file, as `take`."""
        if name not in self.remaining:
            raise ValueError(
                f"{self.path} has no tensor {name}, so it is not a complete {self.model}. Copy "
                f"it again{self.remedy}."
            )
        tensor = self.remaining.pop(name)
        if tensor.shape != shape:
            raise ValueError(
                f"{self.path} does not match its {self.config}: {name} should have the shape "
                f"{shape}. Received: {tensor.shape}"
            )
        return tensor

    def take_tied(self, names: tuple[str, ...], *shape: int) -> np.ndarray:
        """Removes all copies of a tied tensor and returns it; at least one must be present.

        Raises:
            ValueError: No copy is present, the copies differ, or one has another shape.
        """
        first, *others = [name for name in names if self.has(name)] or names[:1]
        tensor = self.take(first, *shape)
        for name in others:
            if not np.array_equal(self.take(name, *shape), tensor):
                raise ValueError(
                    f"{self.path} has different tensors {self.name_in_file(first)} and "
                    f"{self.name_in_file(name)}, which are tied in a `Transformer`. A checkpoint "
                    "with untied embeddings cannot be imported."
                )
        return tensor


def read_weights(folder: Path) -> Weights:
    """Reads the tensors of a checkpoint.

    Raises:
        FileNotFoundError: The checkpoint has no safetensors file.
        ValueError: The file is damaged.
    """
    path = folder / FILE
    if path.is_file():
        return Weights(path, read_safetensors(path))
    for name, reason in UNSUPPORTED_FILES.items():
        if (folder / name).is_file():
            raise FileNotFoundError(
                f"There is no {path}, and {name} {reason}, so it is not supported. Convert it once "
                "with the transformers library: "
                f"`d = {str(folder)!r}; MarianMTModel.from_pretrained(d).save_pretrained(d, "
                "safe_serialization=True, max_shard_size='99GB')`."
            )
    raise FileNotFoundError(f"There is no {path}: copy the whole checkpoint.")


def set_weights(model, weights: Weights, scales_embedding: bool) -> None:
    """Sets the weights of a built `Transformer` to those of a checkpoint.

    Raises:
        ValueError: A tensor is missing, has another shape, or is left over.
    """
    D = model.d_model
    order, scale = feature_order(D), 1.0 if scales_embedding else D**0.5
    _check_positions(weights, D)
    _set_tables(model, weights, order, scale)
    for stack, name in ((model.encoder, "model.encoder"), (model.decoder, "model.decoder")):
        for number, block in enumerate(stack.blocks):
            _set_block(block, weights, f"{name}.layers.{number}", order)
        if stack.final_normalization is not None:
            _set_normalization(stack.final_normalization, weights, f"{name}.layer_norm", order)
    last = model.decoder.blocks[-1].feed_forward_residual.normalization
    last.gamma.assign(last.gamma * scale)
    last.beta.assign(last.beta * scale)
    if weights.remaining:
        raise ValueError(
            f"{weights.path} has tensors that a {weights.model} does not have, such as "
            f"{min(weights.remaining)}: it is another kind of model, which cannot be imported."
        )


def scale_activations(model, scale: float) -> None:
    """Multiplies what enters the activations of all feed-forward networks; divides what leaves."""
    if scale == 1:
        return
    for block in (*model.encoder.blocks, *model.decoder.blocks):
        hidden, output = block.feed_forward.hidden, block.feed_forward.output_projection
        hidden.kernel.assign(hidden.kernel * scale)
        hidden.bias.assign(hidden.bias * scale)
        output.kernel.assign(output.kernel / scale)


def feature_order(d_model: int) -> np.ndarray:
    """Returns the permutation of Marian's features that interleaves sines and cosines.

    Example:

    >>> feature_order(7).tolist()
    [0, 4, 1, 5, 2, 6, 3]
    """
    order = np.empty(d_model, int)
    order[0::2] = np.arange((d_model + 1) // 2)
    order[1::2] = np.arange((d_model + 1) // 2, d_model)
    return order


def _check_positions(weights: Weights, d_model: int) -> None:
    """Checks that position encodings in the file, if any, are the sinusoids that are computed."""
    for side in ("encoder", "decoder"):
        table = weights.remaining.pop(f"model.{side}.embed_positions.weight", None)
        if table is None:
            continue
        positions = np.arange(len(table))[:, None]
        angles = positions / 10000 ** (np.arange(0, d_model, 2) / d_model)
        sinusoids = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)[:, :d_model]
        if table.shape != sinusoids.shape or np.abs(table - sinusoids).max() > 1e-2:
            raise ValueError(
                f"{weights.path} has positions in model.{side}.embed_positions.weight that are "
                "not Marian's sinusoids. This checkpoint cannot be imported."
            )


def _set_tables(model, weights: Weights, order: np.ndarray, scale: float) -> None:
    """Sets the token embeddings and the bias of the logits."""
    V, D = model.target_vocabulary_size or model.vocabulary_size, model.d_model
    if model.target_embedding is model.source_embedding:
        names = tuple(dict.fromkeys(SOURCE_TABLES + TARGET_TABLES))
        tables = [(model.source_embedding, names, V)]
    else:
        tables = [
            (model.source_embedding, SOURCE_TABLES[1:], model.vocabulary_size),
            (model.target_embedding, TARGET_TABLES[1:], V),
        ]
    for embedding, names, size in tables:
        table = weights.take_tied(names, size, D)
        embedding.tokens.embeddings.assign(table[:, order] / scale)
    bias = np.zeros(V, "float32")
    if weights.has(LOGITS_BIAS):
        bias[:] = weights.take(LOGITS_BIAS, 1, V)[0]
    bias[model.pad_id] = MASKED_LOGIT
    model.target_embedding.bias.assign(bias)


def _set_block(block, weights: Weights, name: str, order: np.ndarray) -> None:
    """Sets the weights of an encoder or decoder block."""
    _set_attention(block.self_attention, weights, f"{name}.self_attn", order)
    normalization = block.self_attention_residual.normalization
    _set_normalization(normalization, weights, f"{name}.self_attn_layer_norm", order)
    if hasattr(block, "cross_attention"):
        _set_attention(block.cross_attention, weights, f"{name}.encoder_attn", order)
        normalization = block.cross_attention_residual.normalization
        _set_normalization(normalization, weights, f"{name}.encoder_attn_layer_norm", order)
    _set_dense(block.feed_forward.hidden, weights, f"{name}.fc1", inputs=order)
    _set_dense(block.feed_forward.output_projection, weights, f"{name}.fc2", outputs=order)
    normalization = block.feed_forward_residual.normalization
    _set_normalization(normalization, weights, f"{name}.final_layer_norm", order)


def _set_attention(attention, weights: Weights, name: str, order: np.ndarray) -> None:
    _set_dense(attention.query_projection, weights, f"{name}.q_proj", inputs=order)
    _set_dense(attention.key_projection, weights, f"{name}.k_proj", inputs=order)
    _set_dense(attention.value_projection, weights, f"{name}.v_proj", inputs=order)
    _set_dense(attention.output_projection, weights, f"{name}.out_proj", outputs=order)


def _set_dense(layer, weights: Weights, name: str, inputs=slice(None), outputs=slice(None)) -> None:
    """Sets a dense layer from PyTorch's transposed kernel, with inputs and outputs permuted."""
    width, depth = layer.kernel.shape
    kernel = weights.take(f"{name}.weight", depth, width).T
    layer.kernel.assign(kernel[inputs][:, outputs])
    layer.bias.assign(weights.take(f"{name}.bias", depth)[outputs])


def _set_normalization(normalization, weights: Weights, name: str, order: np.ndarray) -> None:
    D = len(order)
    normalization.gamma.assign(weights.take(f"{name}.weight", D)[order])
    normalization.beta.assign(weights.take(f"{name}.bias", D)[order])
