"""Options with which Marian trained a model, as far as they define what it computes."""

import dataclasses
from pathlib import Path

from keras_transformer.formats.marian.config import EPSILON, MarianConfig
from keras_transformer.formats.marian.npz import OPTIONS
from keras_transformer.formats.marian.yaml_files import read_mapping, shown

NEEDED = {
    "type": "transformer",
    "transformer-decoder-autoreg": "self-attention",
    "transformer-ffn-depth": 2,
}
SIZES = ("dim-emb", "enc-depth", "dec-depth", "transformer-heads", "transformer-dim-ffn")
TIES = ("tied-embeddings", "tied-embeddings-src", "tied-embeddings-all")
LAYOUT = {  # with the defaults
    "transformer-preprocess": "",
    "transformer-postprocess": "dan",
    "transformer-postprocess-top": "",
    "transformer-postprocess-emb": "d",
}
NORMS = {("", "an", "", ""): "post", ("n", "a", "n", ""): "pre"}  # without dropout
READ = {*NEEDED, *SIZES, *TIES, *LAYOUT, "dim-vocabs", "transformer-ffn-activation"}
READ |= {"output-omit-bias"}  # then the file has none
# Beginnings of the names of options of training, and of models of another type.
WITHOUT_EFFECT = ("bert-", "char-", "dec-cell", "dim-rnn", "dropout-", "enc-cell", "enc-type")
WITHOUT_EFFECT += ("factors-combine", "layer-normalization", "original-type", "skip", "ulr-")
WITHOUT_EFFECT += ("transformer-aan-", "transformer-depth-scaling", "transformer-dim-aan")
WITHOUT_EFFECT += ("transformer-dropout", "transformer-guided-alignment-layer", "version")
GELU_SCALE = 1.702  # Marian's gelu(x) is x * sigmoid(1.702 x), hence silu(1.702 x) / 1.702
ACTIVATIONS = {"relu": ("relu", 1.0), "swish": ("silu", 1.0), "gelu": ("silu", GELU_SCALE)}
DROPOUT_RATE, MAX_SOURCE_LENGTH = 0.1, 512  # those of OPUS-MT models in Transformers


@dataclasses.dataclass(frozen=True)
class MarianOptions:
    """Options of a model that a `Transformer` can represent.

    Attributes:
        model: Constructor arguments of the `Transformer`, without vocabulary sizes and padding.
        vocabulary_sizes: Number of ids of source and target, padding not included.
        shares_embeddings: Whether source and target share their embeddings.
        activation_scale: As in `MarianConfig`.
    """

    model: dict
    vocabulary_sizes: tuple[int, int]
    shares_embeddings: bool
    activation_scale: float

    def config(self, special_ids: dict[str, int]) -> MarianConfig:
        """Returns the configuration of a model in which padding is the last id."""
        size = special_ids["pad_id"] + 1
        sizes = {
            "vocabulary_size": size,
            "target_vocabulary_size": None if self.shares_embeddings else size,
            "pad_id": special_ids["pad_id"],
        }
        return MarianConfig(
            {**self.model, **sizes},
            special_ids,
            scales_embedding=True,
            max_source_length=MAX_SOURCE_LENGTH,
            languages={},
            activation_scale=self.activation_scale,
        )


def read_options(text: str, path: Path) -> MarianOptions:
    """Reads the options of the model in a file.

    Raises:
        ValueError: They are damaged, or of a model that a `Transformer` cannot represent.
    """
    source = f"{path} ({OPTIONS})"
    options = read_mapping(text, source)
    _refuse_others(options, source)
    width, encoder, decoder, heads, hidden = (
        _whole_number(options.get(name), name, source) for name in SIZES
    )
    activation, scale = _choice(options, "transformer-ffn-activation", ACTIVATIONS, "swish", source)
    sizes = options.get("dim-vocabs")
    if not isinstance(sizes, list) or len(sizes) != 2:
        raise ValueError(f"{source} must set dim-vocabs to two sizes. Received: {shown(sizes)}")
    model = {
        "num_layers": encoder,
        "d_model": width,
        "num_heads": heads,
        "d_ff": hidden,
        "dropout_rate": DROPOUT_RATE,
        "num_decoder_layers": decoder,
        "norm": _norm(options, source),
        "activation": activation,
        "use_bias": True,
        "epsilon": EPSILON,
    }
    sizes = tuple(_whole_number(size, "dim-vocabs", source) for size in sizes)
    return MarianOptions(model, sizes, _shares_embeddings(options, sizes, source), scale)


def _refuse_others(options: dict, source: str) -> None:
    """Refuses every option that is on and is not known to be represented or without effect."""
    for name, value in options.items():
        is_known = name in READ or str(name).startswith(WITHOUT_EFFECT)
        is_default = name == "input-types" and value == ["sequence", "sequence"]
        if value and value != "none" and not is_known and not is_default:
            raise ValueError(
                f"{source} has the option {name}: {shown(value)}, which is unknown here or which a "
                "`Transformer` does not have, so this model cannot be imported."
            )
    for name, needed in NEEDED.items():
        value = options.get(name, None if name == "type" else needed)
        if value != needed:
            raise ValueError(
                f"{source} has {name}: {shown(value)}. Only a model with {name}: {needed} can be "
                "imported."
            )


def _whole_number(value: object, name: str, source: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(
            f"{source} must set {name} to an integer of at least 1. Received: {shown(value)}"
        )
    return value


def _choice(options: dict, name: str, choices: dict, default: str, source: str):
    value = options.get(name, default)
    if not isinstance(value, str) or value not in choices:
        raise ValueError(
            f"{source} must set {name} to one of {', '.join(choices)}. Received: {shown(value)}"
        )
    return choices[value]


def _norm(options: dict, source: str) -> str:
    """Returns whether sub-layers are normalized after (`"post"`) or before (`"pre"`) them."""
    layout = {name: options.get(name, default) for name, default in LAYOUT.items()}
    are_strings = all(isinstance(value, str) for value in layout.values())
    steps = tuple(value.replace("d", "") for value in layout.values()) if are_strings else None
    if steps not in NORMS:
        received = ", ".join(f"{name}: {shown(value)}" for name, value in layout.items())
        raise ValueError(
            f"{source} has {received}. A `Transformer` can be the paper's ('', 'dan', '', 'd') or "
            "the one that normalizes first ('n', 'da', 'n', 'd'), with or without d."
        )
    return NORMS[steps]


def _shares_embeddings(options: dict, sizes: tuple[int, int], source: str) -> bool:
    """Returns whether source and target share embeddings; the output layer must share them."""
    output, source_and_target, everything = (options.get(name, False) for name in TIES)
    if not (output or everything):
        raise ValueError(
            f"{source} has neither tied-embeddings nor tied-embeddings-all: its output layer has "
            "weights of its own. In a `Transformer` they are those of the target embedding, so "
            "this model cannot be imported."
        )
    shared = bool(source_and_target or everything)
    if shared and sizes[0] != sizes[1]:
        raise ValueError(
            f"{source} shares the embeddings of vocabularies of different sizes. Received: "
            f"dim-vocabs: {list(sizes)}"
        )
    return shared
