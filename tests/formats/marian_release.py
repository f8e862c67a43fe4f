"""Releases in Marian's own form with random weights, as Marian writes them.

Names and shapes after `transformer.h`, `embedding.cpp` and `output.cpp` of marian-dev: kernels
`(inputs, outputs)`, biases and gains `(1, n)`, options as zero-terminated bytes.
"""

import numpy as np
import yaml

from tests.formats.marian_reference import SOURCE_TEXT, TARGET_TEXT, train_pieces, vocabulary

LIKE_EOS = 11  # a token that is nearly as probable as the end
OPTIONS = {
    "bert-train-type-embeddings": True,
    "bert-type-vocab-size": 2,
    "dec-cell": "gru",
    "dec-cell-base-depth": 2,
    "dec-cell-high-depth": 1,
    "dec-depth": 2,
    "dim-emb": 26,
    "dim-rnn": 1024,
    "dim-vocabs": [96, 96],
    "enc-cell": "gru",
    "enc-cell-depth": 1,
    "enc-depth": 1,
    "enc-type": "bidirectional",
    "ignore-model-config": False,
    "input-types": [],
    "layer-normalization": False,
    "lemma-dim-emb": 0,
    "right-left": False,
    "skip": False,
    "tied-embeddings": False,
    "tied-embeddings-all": True,
    "tied-embeddings-src": False,
    "transformer-aan-activation": "swish",
    "transformer-aan-depth": 2,
    "transformer-aan-nogate": False,
    "transformer-decoder-autoreg": "self-attention",
    "transformer-dim-aan": 2048,
    "transformer-dim-ffn": 17,
    "transformer-ffn-activation": "swish",
    "transformer-ffn-depth": 2,
    "transformer-guided-alignment-layer": "last",
    "transformer-heads": 13,
    "transformer-no-projection": False,
    "transformer-postprocess": "dan",
    "transformer-postprocess-emb": "d",
    "transformer-postprocess-top": "",
    "transformer-preprocess": "",
    "transformer-tied-layers": [],
    "transformer-train-position-embeddings": False,
    "type": "transformer",
    "ulr": False,
    "ulr-dim-emb": 0,
    "ulr-trainable-transformation": False,
    "version": "v1.9.0 ba94c5b9 2020-05-17 10:42:17 +0100",
}
SEPARATE = {"tied-embeddings": True, "tied-embeddings-all": False}
PRE = {
    "transformer-preprocess": "n",
    "transformer-postprocess": "da",
    "transformer-postprocess-top": "n",
}


def tensors(options, seed=27):
    """Random tensors of every name; no bias is 0 and no gain is 1."""
    generator = np.random.default_rng(seed)
    D, F = options["dim-emb"], options["transformer-dim-ffn"]
    before = "_pre" if options["transformer-preprocess"] else ""
    found = {}

    def linear(name, number, inputs, outputs):
        found[f"{name}_W{number}"] = generator.normal(0, 2 * inputs**-0.5, (inputs, outputs))
        found[f"{name}_b{number}"] = generator.normal(0, 0.3, (1, outputs))

    def normalization(name):
        found[f"{name}_ln_scale{before}"] = generator.normal(0, 1.2, (1, D))
        found[f"{name}_ln_bias{before}"] = generator.normal(0, 0.2, (1, D))

    for side, attentions in (("encoder", ["self"]), ("decoder", ["self", "context"])):
        for layer in range(1, options[f"{side[:3]}-depth"] + 1):
            for attention in attentions:
                for letter in "qkvo":
                    linear(f"{side}_l{layer}_{attention}", letter, D, D)
                normalization(f"{side}_l{layer}_{attention}_Wo")
            linear(f"{side}_l{layer}_ffn", 1, D, F)
            linear(f"{side}_l{layer}_ffn", 2, F, D)
            normalization(f"{side}_l{layer}_ffn_ffn")
    if options["transformer-postprocess-top"]:
        before = ""
        for side in ("encoder", "decoder"):
            normalization(f"{side}_top")
    _add_tables(found, options, generator)
    return {name: tensor.astype("float32") for name, tensor in found.items()}


def _add_tables(found, options, generator):
    sizes, D = options["dim-vocabs"], options["dim-emb"]
    shared = options["tied-embeddings-all"]
    names = (
        {"Wemb": sizes[0]}
        if shared
        else dict(zip(("encoder_Wemb", "decoder_Wemb"), sizes, strict=True))
    )
    for name, size in names.items():
        table = generator.normal(size=(size, D))
        found[name] = table / np.linalg.norm(table, axis=1, keepdims=True)
        found[name][0] = found[name][LIKE_EOS]
    bias = generator.normal(0, 0.7, (1, sizes[1]))
    bias[0, 0] = bias[0, LIKE_EOS] + 3.0  # so that sentences end
    found["decoder_ff_logit_out_b"] = bias


def write_release(folder, **changes):
    """Writes a whole release; returns its options."""
    options = {**OPTIONS, **changes}
    folder.mkdir(parents=True)
    pieces = [train_pieces(text) for text in (SOURCE_TEXT, TARGET_TEXT)]
    (folder / "source.spm").write_bytes(pieces[0])
    (folder / "target.spm").write_bytes(pieces[1])
    names = ["opus.spm32k-spm32k.vocab.yml"] * 2
    if not options["tied-embeddings-all"]:
        names = ["opus.src.vocab.yml", "opus.trg.vocab.yml"]
    for name, size in zip(names, options["dim-vocabs"], strict=True):
        write_vocabulary(folder / name, vocabulary_of(pieces, size))
    decoder = {
        "relative-paths": True,
        "models": ["opus.spm32k-spm32k.transformer-align.model1.npz.best-perplexity.npz"],
        "vocabs": names,
        "beam-size": 6,
        "normalize": 1,
        "word-penalty": 0,
        "mini-batch": 1,
        "maxi-batch": 1,
        "maxi-batch-sort": "src",
    }
    (folder / "decoder.yml").write_text(yaml.safe_dump(decoder))
    write_model(folder, options, tensors(options))
    return options


def model_of(folder):
    (path,) = folder.glob("*.npz")
    return path


def write_model(folder, options, found):
    name = yaml.safe_load((folder / "decoder.yml").read_text())["models"][0]
    content = yaml.safe_dump(options) if isinstance(options, dict) else options
    content = np.frombuffer(content.encode() + b"\0", "int8")
    np.savez(folder / name, **{"special:model.yml": content}, **found)


def vocabulary_of(pieces, size):
    """The pieces of both languages and as many spare ones as are missing."""
    table = {piece: id for piece, id in vocabulary(pieces).items() if piece != "<pad>"}
    odd = iter(["null", "1.0", "1", "=", "'", '"', "~"])
    renamed = [next(odd, piece) if "spare" in piece else piece for piece in table]
    renamed += [f"▁more{id}" for id in range(len(renamed), size)]
    return renamed[:size]


def write_vocabulary(path, tokens):
    """As yaml-cpp does: one line for each token, quoted where it must be."""
    lines = [f"{_quoted(token)}: {id}\n" for id, token in enumerate(tokens)]
    path.write_text("".join(lines), encoding="utf-8")


def _quoted(token):
    if token in ("'", '"', "~", "=", "null") or token[0] in "<>,.!?&*-%@`":
        return '"' + token.replace('"', '\\"') + '"'
    return token
