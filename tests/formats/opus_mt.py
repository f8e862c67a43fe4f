"""Released OPUS-MT tokenizers and configurations, with random weights of smaller sizes.

`KERAS_TRANSFORMER_OPUS_MT` names the folder: one folder a model, each with the files of the release
but for its weights. `KERAS_TRANSFORMER_MULTI30K` and `KERAS_TRANSFORMER_ENJA` name those of texts.
`KERAS_TRANSFORMER_PEERS_PYTHON` is a Python that has `transformers`.
"""

import gzip
import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.formats import marian_reference as reference

NAMES = ("en-mg", "fr-en")
LANGUAGES = (">>fra<<", ">>ita<<")  # which the releases do not have
BIAS = 52.0  # of the end of a sentence: most translations have 5 to 40 tokens; 6 at full size
SMALLER = 8  # times as wide, and two layers
TEXTS = {
    "KERAS_TRANSFORMER_MULTI30K": ("val.en", "val.fr", "val.de"),
    "KERAS_TRANSFORMER_ENJA": ("dev.en", "dev.ja"),
}
REPETITIVE = "a" * 2000  # equally probable tokens in several orders
ODD = [
    "", " ", "\t", "\0nul\0", "a\0b", "\x01\x02\x7f", "\u200b\u200c zero width", "\ufeffmark",
    "שלום עולם", "مرحبا بالعالم", "\u202eright to left\u202c", "नमस्ते दुनिया", "สวัสดีชาวโลก",
    "Привет, мир!", "안녕하세요 세계", "你好，世界。", "e\u0301te\u0301 A\u030a",
    "½ ² ﬁ Å ａｂｃ！",
    "😀👩‍👩‍👧 🇫🇷", "a\u00a0b\u2009c\u2028d", "▁▁a▁b", "\ud7ff \ue000 \U0010ffff", "ǅ ß ſ İı",
    "line\nfeed\r\nx", "   runs   of spaces ", "!?" * 50, "``quotes'' «x» “y” ‘z’",
    "1,234.56 €", "http://example.org/?q=1&b=<2>", REPETITIVE, "word " * 1500, "été. " * 400,
    ">>fra<<", ">>fra<< hello", ">>fra<<hello", ">>ita<< >>fra<< hello", " >>fra<< x",
    "x >>fra<< y", ">>fra<", ">>fra <<", ">> quoted << text", ">><<", ">>>fra<<<", "<2fr> x",
    ">>fr\na<< x", ">>deu<<", ">>deu<< x",
]  # fmt: skip
# Transformers takes these for the special tokens that they name.
NAMED = ["</s>", "<pad>", "<unk> a", "a </s> b"]


def folder_of(name):
    folder = Path(os.environ.get("KERAS_TRANSFORMER_OPUS_MT", "missing")) / name
    if not (folder / "vocab.json").is_file():
        pytest.skip(f"KERAS_TRANSFORMER_OPUS_MT names no folder with the tokenizer {name}")
    return folder


def lines(count):
    """So many lines of each text that there is, all different."""
    found = []
    for variable, files in TEXTS.items():
        folder = Path(os.environ.get(variable, "missing"))
        for file in files:
            if not (folder / f"{file}.gz").is_file():
                pytest.skip(f"{variable} names no folder with the texts {', '.join(files)}")
            text = gzip.decompress((folder / f"{file}.gz").read_bytes()).decode("utf-8")
            found += text.split("\n")[:count]
    return [line for line in dict.fromkeys(found) if line]


def with_languages(folder, name):
    """Copies the files of a release; its table has two language codes more, before the padding."""
    shutil.copytree(folder_of(name), folder)
    folder.chmod(0o755)
    for path in folder.iterdir():
        path.chmod(0o644)
    table = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    pad = config["pad_token_id"]
    assert table.pop("<pad>") == pad == len(table)
    for code in (*LANGUAGES, "<pad>"):
        table[code] = len(table)
    (folder / "generation_config.json").unlink(missing_ok=True)
    sizes = dict.fromkeys(("vocab_size", "decoder_vocab_size"), len(table))
    ids = dict.fromkeys(("pad_token_id", "decoder_start_token_id"), pad + len(LANGUAGES))
    reference.write_json(folder / "vocab.json", table)
    reference.write_json(folder / "config.json", {**config, **sizes, **ids, "bad_words_ids": None})


def write_checkpoint(folder, name, smaller=SMALLER, layers=2, bias=BIAS):
    """Writes a whole checkpoint of random weights, whose translations end sooner or later."""
    with_languages(folder, name)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["d_model"] //= smaller
    for side in ("encoder", "decoder"):
        config[f"{side}_ffn_dim"] //= smaller
        config[f"{side}_layers"] = layers
    config["num_hidden_layers"] = layers  # by which Transformers overrides `encoder_layers`
    reference.write_json(folder / "config.json", config)
    tensors = reference.tensors(config)
    table = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    make_sentences_end(tensors, config, bias)
    tensors["final_logits_bias"][0, [table["<unk>"], table["<pad>"]]] = -1000.0
    reference.write_safetensors(folder / "model.safetensors", tensors)
    return folder


def make_sentences_end(tensors, config, bias):
    """Makes few tokens probable, as in a trained model, and the end of a sentence at last.

    One feature of the decoder has only the position: no token and no sublayer adds to it. The end
    has only that feature, which rises with the first 40 positions.
    """
    positions = reference.positions(41, config["d_model"])
    rises = (np.diff(positions, axis=0) > 0).all(axis=0)
    feature = np.argmax(np.where(rises, positions[-1], -1))
    for name, tensor in tensors.items():
        if name.endswith("norm.weight"):
            tensor[:] = 1 + 0.1 * np.sign(tensor)
        elif name.endswith("out_proj.weight"):
            tensor *= 0.5
        elif name.endswith("fc2.weight"):
            tensor *= 0.8
        if "decoder" in name and ("norm" in name or "out_proj" in name or "fc2" in name):
            tensor[feature] = 2 if name.endswith("norm.weight") else 0
    last = f"model.decoder.layers.{config['decoder_layers'] - 1}.final_layer_norm"
    for kind in ("weight", "bias"):
        tensors[f"{last}.{kind}"] *= 5
    tokens = tensors["model.shared.weight"]
    tokens *= 0.5
    tokens[:, feature] = 0
    tokens[config["eos_token_id"]] = np.where(np.arange(config["d_model"]) == feature, 20, 0)
    tensors["final_logits_bias"][0, config["eos_token_id"]] = bias


def ask_transformers(folder, scratch, **request):
    """Returns ids and translations of the Transformers library, from a process of its own."""
    python = os.environ.get("KERAS_TRANSFORMER_PEERS_PYTHON", "")
    if not Path(python).is_file():
        pytest.skip("KERAS_TRANSFORMER_PEERS_PYTHON names no Python that has transformers")
    reference.write_json(scratch / "request.json", {"folder": str(folder), **request})
    script = Path(__file__).with_name("opus_mt_in_transformers.py")
    command = [python, script, scratch / "request.json", scratch / "answer.json"]
    result = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, timeout=3000
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return json.loads((scratch / "answer.json").read_text(encoding="utf-8"))
