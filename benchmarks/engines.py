"""Engines that `benchmarks.decoding` times, each in a separate process.

`python -m benchmarks.engines` starts one; `benchmarks.worker` defines the protocol. Each engine
imports what it needs, so that peers do not need this package's dependencies.
"""

import functools
import random

from benchmarks.worker import work

SEARCH = {"beam_size": 4, "length_penalty": 0.0}
SIZES = {  # layers of encoder and decoder each, d_model, d_ff, heads, vocabulary
    "tiny": (4, 128, 256, 4, 8192),
    "base": (6, 512, 2048, 8, 32000),
    "toy": (1, 16, 32, 2, 64),  # to test the program
}
MAX_BATCH = 64  # sentences of similar length per CTranslate2 batch of a file
PAD, BOS, EOS, UNK = range(4)


class NumberTokenizer:
    """Tokenizer whose words are `t` followed by their ids."""

    pad_id, bos_id, eos_id, unk_id = PAD, BOS, EOS, UNK

    def __init__(self, size):
        self.size = size

    def vocabulary_size(self):
        return self.size

    def id_to_token(self, id):
        return ("<pad>", "<s>", "</s>", "<unk>")[id] if id < 4 else f"t{id}"

    def tokenize(self, texts):
        return [[int(word[1:]) for word in text.split()] for text in texts]

    def detokenize(self, rows):
        return [" ".join(map(self.id_to_token, row)) for row in rows]


def random_rows(job, request):
    """Returns random source ids, without the EOS that ends each row."""
    generator, vocabulary = random.Random(0), SIZES[job["size"]][-1]
    columns = range(request["source"] - 1)
    return [[generator.randrange(4, vocabulary) for _ in columns] for _ in range(request["batch"])]


def start_ours(job):
    """Starts our engine; returns a function that prepares a request, as all engines do."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(job["threads"])
    import keras_transformer as kt
    from keras_transformer.formats import export_ctranslate2

    if "run" in job:
        translator = kt.Translator.load(job["run"])
    else:
        layers, d_model, d_ff, heads, vocabulary = SIZES[job["size"]]
        sizes = {"num_layers": layers, "d_model": d_model, "num_heads": heads, "d_ff": d_ff}
        architecture = job.get("architecture", "transformer")
        model = kt.create_model(architecture, vocabulary_size=vocabulary, **sizes)
        translator = kt.Translator(model, NumberTokenizer(vocabulary))

    def write(texts, length):
        limits = {"min_length": length, "max_length": length}
        translations = translator.translate(texts, **limits, **SEARCH)
        return sum(len(one.hypotheses[0].tokens) for one in translations)

    def prepare(request):
        if "export" in request:
            return lambda: export_ctranslate2(translator, request["export"])
        if "texts" in request:
            return lambda: [one.text for one in translator.translate(request["texts"], **SEARCH)]
        texts = translator.tokenizer.detokenize(random_rows(job, request))
        return functools.partial(write, texts, request["output"])

    return prepare


def start_ctranslate2(compute_type, job):
    """Starts CTranslate2 with our weights, and with our tokenizer for texts."""
    import ctranslate2
    import sentencepiece

    # The threads share a single batch; of a file, each thread takes whole batches.
    kind = "inter_threads" if "run" in job else "intra_threads"
    threads = {"inter_threads": 1, "intra_threads": 1, kind: job["threads"]}
    translator = ctranslate2.Translator(job["converted"], compute_type=compute_type, **threads)

    def run_rows(tokens, length):
        limits = {"min_decoding_length": length, "max_decoding_length": length}
        results = translator.translate_batch(tokens, **limits, **SEARCH)
        return sum(len(result.hypotheses[0]) for result in results)

    def run_texts(texts, source, target):
        tokens = source.encode(texts, out_type=str, num_threads=job["threads"])
        results = translator.translate_batch(
            tokens,
            max_batch_size=MAX_BATCH,
            min_decoding_length=0,  # as ours; by default an empty translation is forbidden
            max_decoding_length=max(map(len, tokens)) + 51,  # as ours: source with EOS + 50
            **SEARCH,
        )
        return target.decode([result.hypotheses[0] for result in results])

    def prepare(request):
        if "texts" in request:
            load = sentencepiece.SentencePieceProcessor
            sides = [load(model_file=path) for path in job["tokenizers"]]
            return functools.partial(run_texts, request["texts"], sides[0], sides[-1])
        tokens = [[f"t{id}" for id in row] for row in random_rows(job, request)]
        return functools.partial(run_rows, tokens, request["output"])

    return prepare


def start_hugging_face(job):
    """Starts Hugging Face's `generate` with random weights."""
    import torch
    from transformers import MarianConfig, MarianMTModel

    torch.set_num_threads(job["threads"])
    layers, d_model, d_ff, heads, vocabulary = SIZES[job["size"]]
    sizes = {"d_model": d_model, "vocab_size": vocabulary, "max_position_embeddings": 256}
    for side in ("encoder", "decoder"):
        sizes |= {f"{side}_layers": layers, f"{side}_ffn_dim": d_ff}
        sizes |= {f"{side}_attention_heads": heads}
    ids = {"pad_token_id": PAD, "eos_token_id": EOS, "decoder_start_token_id": BOS}
    config = MarianConfig(
        **sizes,
        **ids,
        bos_token_id=BOS,
        forced_eos_token_id=None,
        activation_function="relu",
        scale_embedding=True,
    )
    model = MarianMTModel(config).eval()

    def prepare(request):
        source = torch.tensor([[*row, EOS] for row in random_rows(job, request)])
        limits = {"min_new_tokens": request["output"], "max_new_tokens": request["output"]}
        search = {"num_beams": SEARCH["beam_size"], "length_penalty": SEARCH["length_penalty"]}

        def run():
            with torch.inference_mode():
                outputs = model.generate(source, do_sample=False, **limits, **search)
            return outputs.shape[0] * (outputs.shape[1] - 1)  # without BOS

        return run

    return prepare


ENGINES = {  # name: (function that starts the engine, packages to report the versions of)
    "keras_transformer": (start_ours, ("keras", "tensorflow")),
    "ctranslate2-float32": (functools.partial(start_ctranslate2, "float32"), ("ctranslate2",)),
    "ctranslate2-int8": (functools.partial(start_ctranslate2, "int8"), ("ctranslate2",)),
    "hf-generate": (start_hugging_face, ("transformers", "torch")),
}
OURS, *PEERS = ENGINES


def has_our_weights(peer):
    """Returns whether an engine runs our weights, converted."""
    return peer.startswith("ctranslate2")


if __name__ == "__main__":
    work(ENGINES)
