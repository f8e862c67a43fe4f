"""Which token goes to which expert, in every block with a `MixtureOfExperts`."""

from collections.abc import Sequence

import numpy as np
from keras import ops

from keras_transformer.illustrate.extraction import has_encoder
from keras_transformer.illustrate.figure import Figure, render
from keras_transformer.layers import AttentionMask, MixtureOfExperts
from keras_transformer.models.stack import attends_to_encoder


def experts_figure(gates: dict[str, np.ndarray], tokens: dict[str, Sequence[str]]) -> Figure:
    """Draws the shares of the experts: one row per token, one column per expert.

    Args:
        gates: Array of shape `(T, E)` of each block with experts, by the name of the block.
        tokens: The T tokens that each of these blocks reads.

    Returns:
        A `Figure`. Its `data` are the `gates`.

    Raises:
        ValueError: There are no blocks, or a block does not have a row for each of its tokens.
        ImportError: The packages of the extra `illustrate` are not installed.
    """
    gates = {name: np.asarray(rows, "float64") for name, rows in gates.items()}
    if not gates:
        raise ValueError("There is nothing to draw: `gates` is empty.")
    for name, rows in gates.items():
        if rows.ndim != 2 or len(rows) != len(tokens[name]):
            raise ValueError(
                f"`gates` must have a row for each of the {len(tokens[name])} tokens of {name}. "
                f"Received: shape {rows.shape}"
            )
    tables = {
        name: list(zip(tokens[name], rows.tolist(), strict=True)) for name, rows in gates.items()
    }
    return Figure("Experts", render("experts.html", tables=tables), gates)


def gates_of(model, source: Sequence[int], target: Sequence[int]) -> dict[str, np.ndarray]:
    """Returns the shares of the experts of each block that has some, as in translation.

    Args:
        model: `EncoderDecoder`. Another model has none to show.
        source: Ids of the source, ending with EOS.
        target: Ids that the decoder reads, starting with BOS.

    Returns:
        A dict of arrays of shape `(S, E)` and `(T, E)`, by names such as `"encoder, layer 1"`;
        layers are counted from 0, as everywhere.
    """
    if not has_encoder(model):
        return {}
    if not any(map(_has_experts, [*model.encoder.blocks, *model.decoder.blocks])):
        return {}
    found = {}
    x = model.source_embedding(ops.convert_to_tensor(np.array([source], "int32")))
    y = model.target_embedding(ops.convert_to_tensor(np.array([target], "int32")))
    for layer, block in enumerate(model.encoder.blocks):
        if _has_experts(block):
            inner, _ = block.apply_self_attention(x, None, None, False)
            found[f"encoder, layer {layer}"] = _gates(block, inner)
        x = block(x)
    memory = model.encoder.normalize_output(x)
    for layer, block in enumerate(model.decoder.blocks):
        if _has_experts(block):
            inner, _ = block.apply_self_attention(y, AttentionMask(causal=True), None, False)
            projected = block.project_memory(memory) if attends_to_encoder(block) else ()
            inner, _ = block.apply_cross_attention(inner, projected, None, None, False)
            found[f"decoder, layer {layer}"] = _gates(block, inner)
        y = block(y, memory) if attends_to_encoder(block) else block(y)
    return found


def _has_experts(block) -> bool:
    return isinstance(getattr(block, "feed_forward", None), MixtureOfExperts)


def _gates(block, inputs) -> np.ndarray:
    gates = block.feed_forward.gates(block.feed_forward_residual.preprocess(inputs))
    return ops.convert_to_numpy(gates)[0]
