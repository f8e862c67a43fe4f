"""Marian once more, in plain NumPy: one sentence at a time, from a checkpoint's own tensors.

After `modeling_marian.py` of the Transformers library: names, order of features and all. And
checkpoints for tests, written without that library.
"""

import io
import json
import math

import numpy as np
import sentencepiece

EPSILON = 1e-5
PAD, EOS, UNKNOWN = 96, 0, 1
LEFT_OUT = "▁dog"  # a piece that has no id
LIKE_EOS = 34  # a token that is nearly as probable as the end
SIZES = {  # different primes, where they may be
    "vocab_size": 97,
    "decoder_vocab_size": 97,
    "d_model": 26,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "encoder_attention_heads": 13,
    "decoder_attention_heads": 13,
    "encoder_ffn_dim": 17,
    "decoder_ffn_dim": 17,
    "max_position_embeddings": 67,
}
SPECIAL_IDS = {"pad_token_id": PAD, "decoder_start_token_id": PAD, "eos_token_id": EOS}
CONFIG = {
    "model_type": "marian",
    **SIZES,
    **SPECIAL_IDS,
    "activation_function": "swish",
    "scale_embedding": True,
    "forced_eos_token_id": None,
}
SOURCE_TEXT = ["the red cat sees a dog", "a dog ran in the street", "eleven cats, one street"]
TARGET_TEXT = ["le chat rouge voit un chien", "un chien court dans la rue", "onze chats, une rue"]


def tensors(config, seed=10):
    """Random tensors of every name that a checkpoint has; no bias is 0 and no gain is 1."""
    generator = np.random.default_rng(seed)
    D, F = config["d_model"], config["encoder_ffn_dim"]
    found = {}

    def linear(name, outputs, inputs):
        found[f"{name}.weight"] = generator.normal(0, 2 * inputs**-0.5, (outputs, inputs))
        found[f"{name}.bias"] = generator.normal(0, 0.3, outputs)

    def normalization(name):
        found[f"{name}.weight"] = generator.normal(0, 1.2, D)
        found[f"{name}.bias"] = generator.normal(0, 0.2, D)

    for side, attentions in (
        ("encoder", ["self_attn"]),
        ("decoder", ["self_attn", "encoder_attn"]),
    ):
        for layer in range(config[f"{side}_layers"]):
            name = f"model.{side}.layers.{layer}"
            for attention in attentions:
                for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
                    linear(f"{name}.{attention}.{part}", D, D)
                normalization(f"{name}.{attention}_layer_norm")
            linear(f"{name}.fc1", F, D)
            linear(f"{name}.fc2", D, F)
            normalization(f"{name}.final_layer_norm")
    tables = {"model.shared.weight": config["vocab_size"]}
    if not config.get("share_encoder_decoder_embeddings", True):
        tables = {
            "model.encoder.embed_tokens.weight": config["vocab_size"],
            "model.decoder.embed_tokens.weight": config["decoder_vocab_size"],
        }
    bias = generator.normal(0, 0.7, (1, config["decoder_vocab_size"]))
    for name, size in tables.items():
        table = generator.normal(size=(size, D))
        found[name] = table / np.linalg.norm(table, axis=1, keepdims=True)
        found[name][EOS] = found[name][LIKE_EOS]
    bias[0, EOS] = bias[0, LIKE_EOS] + 3.0  # so that sentences end
    last = f"model.decoder.layers.{config['decoder_layers'] - 1}.final_layer_norm"
    found[f"{last}.weight"] *= 3  # so that few tokens are probable
    found["final_logits_bias"] = bias
    return {name: tensor.astype("float32") for name, tensor in found.items()}


def logits(config, tensors, source, target):
    """Logits `(T, V)` of one sentence; `source` and `target` are ids without padding."""
    tensors = {name: tensor.astype("float64") for name, tensor in tensors.items()}
    shared = tensors.get("model.shared.weight")
    heads = config["encoder_attention_heads"]

    def linear(name, x):
        return x @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]

    def normalized(name, x):
        x = x - x.mean(axis=-1, keepdims=True)
        x = x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + EPSILON)
        return x * tensors[f"{name}.weight"] + tensors[f"{name}.bias"]

    def attention(name, x, seen, causal=False):
        query, key, value = (
            linear(f"{name}.{part}_proj", of) for part, of in (("q", x), ("k", seen), ("v", seen))
        )
        result = []
        by_head = (np.split(part, heads, axis=1) for part in (query, key, value))
        for q, k, v in zip(*by_head, strict=True):
            weights = q @ k.T / math.sqrt(q.shape[1])
            if causal:
                weights = np.where(np.tri(len(x), dtype=bool), weights, -np.inf)
            weights = np.exp(weights - weights.max(axis=1, keepdims=True))
            result.append(weights / weights.sum(axis=1, keepdims=True) @ v)
        return linear(f"{name}.out_proj", np.concatenate(result, axis=1))

    def stack(side, x, encoder_output=None):
        for layer in range(config[f"{side}_layers"]):
            name = f"model.{side}.layers.{layer}"
            own = attention(f"{name}.self_attn", x, x, causal=side == "decoder")
            x = normalized(f"{name}.self_attn_layer_norm", x + own)
            if encoder_output is not None:
                across = attention(f"{name}.encoder_attn", x, encoder_output)
                x = normalized(f"{name}.encoder_attn_layer_norm", x + across)
            hidden = ACTIVATIONS[config["activation_function"]](linear(f"{name}.fc1", x))
            x = normalized(f"{name}.final_layer_norm", x + linear(f"{name}.fc2", hidden))
        return x

    def embedded(side, ids):
        table = tensors.get(f"model.{side}.embed_tokens.weight", shared)
        scale = math.sqrt(config["d_model"]) if config["scale_embedding"] else 1.0
        return table[ids] * scale + positions(len(ids), config["d_model"])

    encoder_output = stack("encoder", embedded("encoder", source))
    hidden = stack("decoder", embedded("decoder", target), encoder_output)
    table = tensors.get("model.decoder.embed_tokens.weight", shared)
    return hidden @ table.T + tensors["final_logits_bias"][0]


def positions(count, d_model):
    """All sines before all cosines."""
    table = np.array(
        [[p / 10000 ** (2 * (j // 2) / d_model) for j in range(d_model)] for p in range(count)]
    )
    return np.concatenate([np.sin(table[:, 0::2]), np.cos(table[:, 1::2])], axis=1)


ACTIVATIONS = {
    "swish": lambda x: x / (1 + np.exp(-x)),
    "relu": lambda x: np.maximum(x, 0),
    "gelu": lambda x: x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2,
}


def log_probs(logits):
    """Of every token; padding, which the original Marian does not have, has no probability."""
    logits = logits.copy()
    logits[:, PAD] = -np.inf
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def write_checkpoint(folder, config=CONFIG, seed=10):
    """Writes a whole checkpoint; returns its tensors."""
    found = tensors(config, seed)
    folder.mkdir(parents=True, exist_ok=True)
    pieces = [train_pieces(text) for text in (SOURCE_TEXT, TARGET_TEXT)]
    (folder / "source.spm").write_bytes(pieces[0])
    (folder / "target.spm").write_bytes(pieces[1])
    write_json(folder / "config.json", config)
    write_json(folder / "generation_config.json", {**SPECIAL_IDS, "num_beams": 6})
    table, facts = vocabulary(pieces), {"source_lang": "eng", "target_lang": "fra"}
    write_json(folder / "vocab.json", table)
    if not config.get("share_encoder_decoder_embeddings", True):
        facts["separate_vocabs"] = True
        others = {piece: EOS + PAD - id for piece, id in table.items() if UNKNOWN < id < PAD}
        write_json(folder / "target_vocab.json", {**others, "</s>": EOS, "<unk>": 95, "<pad>": PAD})
    write_json(folder / "tokenizer_config.json", facts)
    write_safetensors(folder / "model.safetensors", found)
    return found


def train_pieces(sentences):
    """A SentencePiece model like those of OPUS-MT: without padding, with ids of its own."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.Train(
        sentence_iterator=iter(sentences * 7),
        model_writer=model,
        vocab_size=49,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    return model.getvalue()


def vocabulary(models):
    """The pieces of both languages in an order of their own, padding last; one is left out."""
    pieces = {"</s>": EOS, "<unk>": UNKNOWN, ">>fra<<": 2}
    for model in reversed(models):
        processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        own = [processor.id_to_piece(id) for id in range(3, processor.vocab_size())]
        for piece in own:
            if piece != LEFT_OUT:
                pieces.setdefault(piece, len(pieces))
    while len(pieces) < PAD:
        pieces[f"▁spare{len(pieces)}"] = len(pieces)
    assert len(pieces) == PAD
    return {**pieces, "<pad>": PAD}


def write_json(path, facts):
    path.write_text(json.dumps(facts, ensure_ascii=False), encoding="utf-8")


def write_safetensors(path, tensors, dtype="F32"):
    """As the library of that name writes them."""
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, tensor in tensors.items():
        numbers = encoded(tensor, dtype)
        places = [len(data), len(data) + len(numbers)]
        header[name] = {"dtype": dtype, "shape": list(tensor.shape), "data_offsets": places}
        data += numbers
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def encoded(tensor, dtype):
    if dtype == "BF16":
        return (tensor.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()
    return tensor.astype({"F64": "<f8", "F32": "<f4", "F16": "<f2"}[dtype]).tobytes()
