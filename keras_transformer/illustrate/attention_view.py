"""Tensor2Tensor's attention view: all heads of all layers."""

import base64
import dataclasses
from collections.abc import Sequence

import numpy as np

from keras_transformer.illustrate.figure import Figure, render

KINDS = {
    "inp_inp": "Input - Input",
    "inp_out": "Input - Output",
    "out_out": "Output - Output",
    "all": "All",
}
LEVELS = 255  # a score is stored in one byte of the page
ROW = 24  # height of a token in pixels


@dataclasses.dataclass(frozen=True)
class Attention:
    """Attention scores of one sentence and its translation, with their tokens.

    The scores are those that `Transformer.attention` returns for one row of a batch, after the
    softmax. Each row of scores belongs to the attending token and adds up to 1.

    For an encoder alone, give only `source` and `encoder`. A stack without self-attention has no
    layers.

    Args:
        source: The S source tokens.
        encoder: Self-attention of the encoder, array of shape `(layers, H, S, S)`.
        written: The T output tokens of the decoder, the last one EOS.
        decoder: Self-attention of the decoder, array of shape `(layers, H, T, T)`.
        cross: Cross-attention, array of shape `(layers, H, T, S)`.
        read: The T input tokens of the decoder, the first one BOS. `None` labels the positions of
            the decoder with the output tokens, as Tensor2Tensor does.

    Raises:
        ValueError: Shapes do not match the numbers of tokens, or scores are not between 0 and 1.
    """

    source: Sequence[str]
    encoder: np.ndarray
    written: Sequence[str] = ()
    decoder: np.ndarray | None = None
    cross: np.ndarray | None = None
    read: Sequence[str] | None = None

    def __post_init__(self):
        object.__setattr__(self, "read", list(self.read or self.written))
        S, T, H = len(self.source), len(self.written), np.shape(self.encoder)[1:2]
        for name, sizes in (("encoder", (S, S)), ("decoder", (T, T)), ("cross", (T, S))):
            scores = getattr(self, name)
            scores = np.zeros((0, *H, *sizes)) if scores is None else scores
            scores = np.asarray(scores, "float32")
            object.__setattr__(self, name, scores)
            if scores.ndim != 4 or scores.shape[1:] != (*H, *sizes):
                raise ValueError(
                    f"`{name}` must have the shape (layers, heads, {sizes[0]}, {sizes[1]}), to "
                    f"match the numbers of tokens. Received: {scores.shape}"
                )
            invalid = scores[~((scores >= 0) & (scores <= 1.001))]  # NaN included
            if invalid.size:
                raise ValueError(
                    f"`{name}` must hold scores after the softmax, between 0 and 1. "
                    f"Received: {invalid[0]}"
                )
        if len(self.read) != T:
            raise ValueError(
                f"`read` must have as many tokens as `written`, {T}. Received: {len(self.read)}"
            )

    def scores(self, kind: str, layer: int) -> np.ndarray:
        """Returns the scores of a kind and layer, `(H, queries, keys)`.

        `"all"` is one block matrix of the source and the target.
        """
        if kind == "inp_inp":
            return self.encoder[layer]
        if kind == "out_out":
            return self.decoder[layer]
        if kind == "inp_out":
            return self.cross[layer]
        S, T = len(self.source), len(self.written)
        blocks = np.zeros((self.encoder.shape[1], S + T, S + T), "float32")
        if layer < len(self.encoder):
            blocks[:, :S, :S] = self.encoder[layer]
        if layer < len(self.cross):
            blocks[:, S:, :S] = self.cross[layer]
        if layer < len(self.decoder):
            blocks[:, S:, S:] = self.decoder[layer]
        return blocks

    def kinds(self) -> dict[str, str]:
        """Returns the available kinds of attention and their labels."""
        kinds = [kind for kind in KINDS if kind != "all" and self.layers(kind)]
        return {kind: KINDS[kind] for kind in (*kinds, *(["all"] if len(kinds) > 1 else []))}

    def layers(self, kind: str) -> int:
        """Returns the number of layers of a kind."""
        parts = {"inp_inp": [self.encoder], "inp_out": [self.cross], "out_out": [self.decoder]}
        return max(map(len, parts.get(kind, [self.encoder, self.cross, self.decoder])))

    def texts(self, kind: str) -> tuple[list[str], list[str]]:
        """Returns the tokens that are attended to (left) and the attending ones (right)."""
        source, written = list(self.source), list(self.written)
        return {
            "inp_inp": (source, source),
            "inp_out": (source, written),
            "out_out": (self.read, written),
            "all": (source + self.read, source + written),
        }[kind]

    def as_tensor2tensor(self) -> dict:
        """Returns the data of Tensor2Tensor's attention view.

        The keys are `"all"`, `"inp_inp"`, `"inp_out"` and `"out_out"`. Each value is a dict of
        `"att"`, a list over layers of lists over heads of matrices with one row per query, and
        `"top_text"` and `"bot_text"`, the tokens of the left and the right column. In `"all"`, the
        rows of the source add up to 1, those of the target to 2.
        """
        return {
            kind: {
                "att": [self.scores(kind, layer).tolist() for layer in range(self.layers(kind))],
                "top_text": self.texts(kind)[0],
                "bot_text": self.texts(kind)[1],
            }
            for kind in self.kinds()
        }


def in_levels(scores: np.ndarray, levels: int = LEVELS) -> np.ndarray:
    """Quantizes scores to multiples of `1 / levels`, and preserves the sum of each row.

    Scores are rounded down. Then those with the largest remainders are increased by one step, until
    the row has its original sum. Every score changes by less than one step.

    Args:
        scores: Array of shape `(..., keys)`. Each row adds up to 1 or 0.
        levels: Integer, at most 255. Number of steps between 0 and 1.

    Returns:
        Array of the same shape, uint8.

    Example:

    >>> in_levels(np.array([[0.5, 0.3, 0.2]]), levels=5).tolist()
    [[3, 1, 1]]
    """
    exact = np.clip(np.asarray(scores, "float64"), 0, 1) * levels
    exact = np.where(np.abs(exact - np.rint(exact)) < 1e-9, np.rint(exact), exact)
    floor = np.floor(exact)
    missing = np.rint(exact.sum(-1, keepdims=True)) - floor.sum(-1, keepdims=True)
    rank = np.argsort(np.argsort(floor - exact, axis=-1, kind="stable"), axis=-1)
    return np.clip(floor + (rank < missing), 0, levels).astype("uint8")


def attention_figure(
    attention: Attention,
    layer: int | None = None,
    kind: str | None = None,
    token: int | None = None,
) -> Figure:
    """Draws attention scores as lines between two columns of tokens, one colour per head.

    This is the view of Tensor2Tensor
    ([Vaswani et al., 2018](https://arxiv.org/abs/1803.07416)). The attending tokens are on the
    right, the tokens that they attend to on the left; the opacity of a line is its score. In the
    page, the reader selects the layer and the kind of attention, switches heads on and off,
    highlights a token with the mouse or the keyboard, and switches to a heat map. A score is stored
    in one byte, rounded to a multiple of 1/255 such that each row still adds up to 1
    (`in_levels`).

    Args:
        attention: `Attention`.
        layer: Index of the layer that is shown first; `None` for the top layer.
        kind: `"inp_inp"`, `"inp_out"`, `"out_out"` or `"all"`. The kind that is shown first;
            `None` for the first of these that the model has.
        token: Index of the token in the right column that is highlighted first, or `None`.

    Returns:
        A `Figure`. Its `data` are the fields of `attention`.

    Raises:
        ValueError: `kind`, `layer` or `token` does not exist.
        ImportError: The packages of the extra `illustrate` are not installed.
    """
    kind = next(iter(attention.kinds()), None) if kind is None else kind
    if kind not in attention.kinds():
        expected = ", ".join(attention.kinds())
        raise ValueError(f"`kind` must be one of {expected}. Received: {kind!r}")
    layers, tokens = attention.layers(kind), len(attention.texts(kind)[1])
    layer = layers - 1 if layer is None else layer
    for name, value, count in (("layer", layer, layers), ("token", token or 0, tokens)):
        if not 0 <= value < count:
            raise ValueError(
                f"`{name}` must be at least 0 and less than {count}. Received: {value}"
            )
    start = {"layer": layer, "kind": kind, "token": token}
    page_data = {**packed(attention), "start": start, "row": ROW}
    body = render("attention.html", data=page_data, kinds=attention.kinds())
    longest = max(len(attention.source), len(attention.written))
    return Figure("Attention", body, vars(attention).copy(), 260 + ROW * min(longest, 40))


def packed(attention: Attention) -> dict:
    """Encodes tokens and scores for the page, one byte per score.

    If the decoder is causal, only the lower triangle of its scores is stored.
    """
    levels = {name: in_levels(getattr(attention, name)) for name in ("encoder", "decoder", "cross")}
    if not np.triu(levels["decoder"], 1).any():
        levels["decoder"] = levels["decoder"][..., *np.tril_indices(len(attention.written))]
    return {
        "source": list(attention.source),
        "written": list(attention.written),
        "read": list(attention.read),
        "heads": attention.encoder.shape[1],
        "layers": {name: len(scores) for name, scores in levels.items()},
        "kinds": list(attention.kinds()),
        **{name: base64.b64encode(x.tobytes()).decode("ascii") for name, x in levels.items()},
    }
