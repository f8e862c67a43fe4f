"""Who attends to whom: Tensor2Tensor's view of all heads of all layers."""

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
LEVELS = 255  # a weight takes one byte in the page
ROW = 24  # height of a token in pixels


@dataclasses.dataclass(frozen=True)
class Attention:
    """The attention scores of one sentence and its translation, with their tokens.

    What `Transformer.attention` gives for one row of its batch. Scores are those after the
    softmax; a row belongs to the token that attends, and adds up to 1.

    An encoder alone has nothing but `source` and `encoder`.

    Args:
        source: The source's tokens, S of them.
        encoder: Array of shape `(layers, H, S, S)`.
        written: The tokens that the decoder writes, T of them, EOS the last.
        decoder: Array of shape `(layers, H, T, T)`.
        cross: Array of shape `(layers, H, T, S)`.
        read: The tokens that the decoder reads, T of them, BOS the first. `None` names its
            positions by what they write, as Tensor2Tensor does.

    Raises:
        ValueError: Shapes and numbers of tokens do not fit, or scores are not between 0 and 1.
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
            given = getattr(self, name)
            scores = np.zeros((0, *H, *sizes)) if given is None else given
            scores = np.asarray(scores, "float32")
            object.__setattr__(self, name, scores)
            if scores.ndim != 4 or scores.shape[1:] != (*H, *sizes):
                raise ValueError(
                    f"`{name}` must have the shape (layers, heads, {sizes[0]}, {sizes[1]}), as "
                    f"many as there are tokens. Received: {scores.shape}"
                )
            wrong = scores[~((scores >= 0) & (scores <= 1.001))]  # also what is not a number
            if wrong.size:
                raise ValueError(
                    f"`{name}` must hold scores after the softmax, between 0 and 1. "
                    f"Received: {wrong[0]}"
                )
        if len(self.read) != T:
            raise ValueError(
                f"`read` must have as many tokens as `written`, {T}. Received: {len(self.read)}"
            )

    def scores(self, kind: str, layer: int) -> np.ndarray:
        """The scores of one kind and layer, `(H, queries, keys)`; `"all"` in one block matrix."""
        if kind == "inp_inp":
            return self.encoder[layer]
        if kind == "out_out":
            return self.decoder[layer]
        if kind == "inp_out":
            return self.cross[layer]
        S, T = len(self.source), len(self.written)
        everything = np.zeros((self.encoder.shape[1], S + T, S + T), "float32")
        if layer < len(self.encoder):
            everything[:, :S, :S] = self.encoder[layer]
        if layer < len(self.decoder):
            everything[:, S:, :S] = self.cross[layer]
            everything[:, S:, S:] = self.decoder[layer]
        return everything

    def kinds(self) -> dict[str, str]:
        """The kinds there are, with their labels."""
        return KINDS if len(self.decoder) else {"inp_inp": KINDS["inp_inp"]}

    def layers(self, kind: str) -> int:
        """How many layers there are of a kind."""
        counts = {"inp_inp": [self.encoder], "all": [self.encoder, self.decoder]}
        return max(len(scores) for scores in counts.get(kind, [self.decoder]))

    def texts(self, kind: str) -> tuple[list[str], list[str]]:
        """The tokens that are looked at (left) and those that look (right)."""
        source, written = list(self.source), list(self.written)
        return {
            "inp_inp": (source, source),
            "inp_out": (source, written),
            "out_out": (self.read, written),
            "all": (source + self.read, source + written),
        }[kind]

    def as_tensor2tensor(self) -> dict:
        """The dict that Tensor2Tensor's view is drawn from.

        Under `"all"`, `"inp_inp"`, `"inp_out"` and `"out_out"`: `"att"`, a list over layers of
        lists over heads of matrices with a row for each query; `"top_text"` and `"bot_text"`, the
        tokens of the left and the right column. In `"all"` the rows of the source add up to 1,
        those of the target to 2.
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
    """Scores in whole steps of `1 / levels`, whose rows still add up to what they did.

    All are rounded down; then those that lost most get a step more, until the sum is right. No
    score changes by a whole step.

    Args:
        scores: Array of shape `(..., keys)`, each row of which adds up to 1 (or to 0).
        levels: Integer, at most 255. How many steps make 1.

    Returns:
        Array of the same shape, uint8.

    Example:

    >>> in_levels(np.array([[0.5, 0.3, 0.2]]), levels=5).tolist()
    [[3, 1, 1]]
    """
    exact = np.clip(np.asarray(scores, "float64"), 0, 1) * levels
    exact = np.where(np.abs(exact - np.rint(exact)) < 1e-9, np.rint(exact), exact)
    whole = np.floor(exact)
    missing = np.rint(exact.sum(-1, keepdims=True)) - whole.sum(-1, keepdims=True)
    rank = np.argsort(np.argsort(whole - exact, axis=-1, kind="stable"), axis=-1)
    return np.clip(whole + (rank < missing), 0, levels).astype("uint8")


def attention_figure(
    attention: Attention, layer: int | None = None, kind: str = "inp_inp", token: int | None = None
) -> Figure:
    """Two columns of tokens, and lines between them as strong as the scores, a colour a head.

    The view of [Vaswani et al., 2018](https://arxiv.org/abs/1803.07416), Tensor2Tensor. On the
    right the tokens that look, on the left those they look at. In the page one chooses layer and
    kind, turns heads on and off, singles out a token with the mouse or the keyboard, and changes
    to a heat map. A score takes one byte of the page: it is rounded to steps of 1/255 in such a
    way that each row's sum stays 1 (`in_levels`).

    Args:
        attention: `Attention`.
        layer: The layer to begin with, counted from 0; `None` for the top.
        kind: `"inp_inp"`, `"inp_out"`, `"out_out"` or `"all"`.
        token: Which token of the right column is singled out at first, counted from 0.

    Returns:
        `Figure`; its `data` are the fields of `attention`.

    Raises:
        ValueError: There is no such kind, layer or token.
        ImportError: The packages of the extra `illustrate` are not installed.
    """
    if kind not in attention.kinds():
        known = ", ".join(attention.kinds())
        raise ValueError(f"`kind` must be one of {known}. Received: {kind!r}")
    layers, tokens = attention.layers(kind), len(attention.texts(kind)[1])
    layer = layers - 1 if layer is None else layer
    for name, value, count in (("layer", layer, layers), ("token", token or 0, tokens)):
        if not 0 <= value < count:
            raise ValueError(
                f"`{name}` must be at least 0 and less than {count}. Received: {value}"
            )
    start = {"layer": layer, "kind": kind, "token": token}
    page_data = {**_packed(attention), "start": start, "row": ROW}
    body = render("attention.html", data=page_data, kinds=attention.kinds())
    longest = max(len(attention.source), len(attention.written))
    return Figure("Attention", body, vars(attention).copy(), 260 + ROW * min(longest, 40))


def _packed(attention: Attention) -> dict:
    """Tokens, and scores in a byte each; of a causal decoder only what it may see."""
    levels = {name: in_levels(getattr(attention, name)) for name in ("encoder", "decoder", "cross")}
    if not np.triu(levels["decoder"], 1).any():
        levels["decoder"] = levels["decoder"][..., *np.tril_indices(len(attention.written))]
    return {
        "source": list(attention.source),
        "written": list(attention.written),
        "read": list(attention.read),
        "heads": attention.encoder.shape[1],
        "layers": {"encoder": len(attention.encoder), "decoder": len(attention.decoder)},
        **{name: base64.b64encode(one.tobytes()).decode("ascii") for name, one in levels.items()},
    }
