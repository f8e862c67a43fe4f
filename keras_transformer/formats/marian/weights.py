"""From the tensors of a Marian checkpoint to the weights of a `Transformer`.

Two things are written differently, without a change in what is computed:

- Marian puts all sines of a position before all cosines, the paper takes them in turn. So the
  features, everywhere, are put into another order.
- Where Marian does not scale embeddings, the table is divided by the scale, and what the last
  normalisation hands to the output is multiplied by it.
"""

from pathlib import Path

import numpy as np

from keras_transformer.formats.safetensors_file import read_safetensors

FILE = "model.safetensors"
PICKLE = "pytorch_model.bin"
OTHERWISE = {  # what else may be there instead, and what to do then
    PICKLE: "a pickle, which can run any program when it is read",
    FILE + ".index.json": "split into several files",
}
SHARED_TABLE = "model.shared.weight"
SOURCE_TABLES = (SHARED_TABLE, "model.encoder.embed_tokens.weight")
TARGET_TABLES = (SHARED_TABLE, "model.decoder.embed_tokens.weight", "lm_head.weight")
NEVER = -1000.0  # logit of what has no probability; far from infinite, for smoothed labels


class Weights:
    """Tensors to be taken one by one, each of the shape that it should have.

    Args:
        path: The file that they are from.
    """

    def __init__(self, path: Path):
        self.path = path
        self.rest = read_safetensors(path)

    def take(self, name: str, *shape: int) -> np.ndarray:
        """Takes the tensor of a name.

        Raises:
            ValueError: There is none, or it has another shape.
        """
        if name not in self.rest:
            raise ValueError(
                f"{self.path} has no tensor {name}, so it does not hold a whole `MarianMTModel`. "
                "Copy it again, or save it with `MarianMTModel.save_pretrained`."
            )
        tensor = self.rest.pop(name)
        if tensor.shape != shape:
            raise ValueError(
                f"{self.path} does not fit its config.json: {name} should have the shape {shape}. "
                f"Received: {tensor.shape}"
            )
        return tensor

    def take_same(self, names: tuple[str, ...], *shape: int) -> np.ndarray:
        """Takes tensors that are one and the same in a model, as far as they are there."""
        first, *others = [name for name in names if name in self.rest] or names[:1]
        tensor = self.take(first, *shape)
        for name in others:
            if not np.array_equal(self.take(name, *shape), tensor):
                raise ValueError(
                    f"{self.path} has different tensors {first} and {name}; a `Transformer` has "
                    "one. A checkpoint whose embeddings are not tied cannot be imported."
                )
        return tensor


def read_weights(folder: Path) -> Weights:
    """The tensors of a checkpoint.

    Raises:
        FileNotFoundError: There are none that can be read.
        ValueError: The file is damaged.
    """
    path = folder / FILE
    if path.is_file():
        return Weights(path)
    for name, what in OTHERWISE.items():
        if (folder / name).is_file():
            raise FileNotFoundError(
                f"There is no {path}, and {name} is {what}: not read here. Write the file once "
                "with the transformers library: "
                f"`d = {str(folder)!r}; MarianMTModel.from_pretrained(d).save_pretrained(d, "
                "safe_serialization=True, max_shard_size='99GB')`."
            )
    raise FileNotFoundError(f"There is no {path}: copy the whole checkpoint.")


def set_weights(model, weights: Weights, scales_embedding: bool) -> None:
    """Gives a built `Transformer` the weights of a checkpoint, which must all be used.

    Raises:
        ValueError: Tensors are missing, too many, or of other shapes.
    """
    D = model.d_model
    order, scale = feature_order(D), 1.0 if scales_embedding else D**0.5
    _check_positions(weights, D)
    _set_tables(model, weights, order, scale)
    for stack, name in ((model.encoder, "model.encoder"), (model.decoder, "model.decoder")):
        for number, block in enumerate(stack.blocks):
            _set_block(block, weights, f"{name}.layers.{number}", order)
    last = model.decoder.blocks[-1].feed_forward_residual.normalization
    last.gamma.assign(last.gamma * scale)
    last.beta.assign(last.beta * scale)
    if weights.rest:
        raise ValueError(
            f"{weights.path} has tensors that a `MarianMTModel` does not have, such as "
            f"{min(weights.rest)}: it is another kind of model, and would be imported wrongly."
        )


def feature_order(d_model: int) -> np.ndarray:
    """Which of Marian's features stands at each place of ours: sines and cosines in turn.

    Example:

    >>> feature_order(7).tolist()
    [0, 4, 1, 5, 2, 6, 3]
    """
    order = np.empty(d_model, int)
    order[0::2] = np.arange((d_model + 1) // 2)
    order[1::2] = np.arange((d_model + 1) // 2, d_model)
    return order


def _check_positions(weights: Weights, d_model: int) -> None:
    """Positions are computed; if they are also in the file, they must be the same."""
    for side in ("encoder", "decoder"):
        table = weights.rest.pop(f"model.{side}.embed_positions.weight", None)
        if table is None:
            continue
        places = np.arange(len(table))[:, None]
        angles = places / 10000 ** (np.arange(0, d_model, 2) / d_model)
        sinusoids = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)[:, :d_model]
        if table.shape != sinusoids.shape or np.abs(table - sinusoids).max() > 1e-2:
            raise ValueError(
                f"{weights.path} has positions in model.{side}.embed_positions.weight that are "
                "not Marian's sinusoids. Such a checkpoint cannot be imported."
            )


def _set_tables(model, weights: Weights, order: np.ndarray, scale: float) -> None:
    """The vectors of tokens, and what is added to the logits."""
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
        table = weights.take_same(names, size, D)
        embedding.tokens.embeddings.assign(table[:, order] / scale)
    bias = np.zeros(V, "float32")
    if "final_logits_bias" in weights.rest:
        bias[:] = weights.take("final_logits_bias", 1, V)[0]
    bias[model.pad_id] = NEVER
    model.target_embedding.bias.assign(bias)


def _set_block(block, weights: Weights, name: str, order: np.ndarray) -> None:
    """An encoder's or a decoder's block."""
    first = "self_attention_residual"
    if hasattr(block, "cross_attention"):
        first = "self_attention_residual"
        _set_attention(block.cross_attention, weights, f"{name}.encoder_attn", order)
        residual = block.cross_attention_residual
        _set_normalization(residual, weights, f"{name}.encoder_attn_layer_norm", order)
    _set_attention(block.self_attention, weights, f"{name}.self_attn", order)
    _set_normalization(getattr(block, first), weights, f"{name}.self_attn_layer_norm", order)
    _set_dense(block.feed_forward.hidden, weights, f"{name}.fc1", inputs=order)
    _set_dense(block.feed_forward.output_projection, weights, f"{name}.fc2", outputs=order)
    _set_normalization(block.feed_forward_residual, weights, f"{name}.final_layer_norm", order)


def _set_attention(attention, weights: Weights, name: str, order: np.ndarray) -> None:
    _set_dense(attention.query_projection, weights, f"{name}.q_proj", inputs=order)
    _set_dense(attention.key_projection, weights, f"{name}.k_proj", inputs=order)
    _set_dense(attention.value_projection, weights, f"{name}.v_proj", inputs=order)
    _set_dense(attention.output_projection, weights, f"{name}.out_proj", outputs=order)


def _set_dense(layer, weights: Weights, name: str, inputs=slice(None), outputs=slice(None)) -> None:
    """PyTorch has a row for each output; `inputs` and `outputs` are the order of ours."""
    width, depth = layer.kernel.shape
    kernel = weights.take(f"{name}.weight", depth, width).T
    layer.kernel.assign(kernel[inputs][:, outputs])
    layer.bias.assign(weights.take(f"{name}.bias", depth)[outputs])


def _set_normalization(residual, weights: Weights, name: str, order: np.ndarray) -> None:
    normalization, D = residual.normalization, len(order)
    normalization.gamma.assign(weights.take(f"{name}.weight", D)[order])
    normalization.beta.assign(weights.take(f"{name}.bias", D)[order])
