"""Engines that `benchmarks.serving` times: `Translator`, its SavedModels and CTranslate2."""

import functools
from pathlib import Path

from benchmarks.turns import usable_processors
from benchmarks.worker import work

LIVE, XLA = "live", "saved_model xla"
OPTIONS = {XLA: ["--xla"], f"{XLA} int8": ["--xla", "--quantize", "int8"], "saved_model": []}
CTRANSLATE2 = {f"ctranslate2 {kind}": kind for kind in ("float32", "int8")}
LOOPS = {f"translate_iterable {kind}": kind for kind in ("float32", "int8")}
SEARCH = {"beam_size": 4, "length_penalty": 0.6}


def start_live(job):
    """Starts the `Translator` of a run."""
    from keras_transformer import Translator

    translator = Translator.load(job["folders"][LIVE])
    return make_prepare(lambda texts: [one.text for one in translator.translate(texts, **SEARCH)])


def start_ctranslate2(compute_type, job):
    """Starts the `Translator` of a run with the engine ctranslate2."""
    import keras_transformer as kt

    translator = kt.Translator.load(job["folders"][LIVE], "ctranslate2", compute_type)
    return make_prepare(lambda texts: [one.text for one in translator.translate(texts, **SEARCH)])


def start_loop(compute_type, job):
    """Starts a plain loop around CTranslate2's `translate_iterable`, as its documentation has it.

    The batches, of 64 sentences, are those of its example; the threads are as many as ours, each
    with whole batches.
    """
    import ctranslate2
    import sentencepiece

    run, threads = Path(job["folders"][LIVE]), usable_processors()
    names = [run / f"{name}.model" for name in ("tokenizer", "target_tokenizer")]
    paths = [str(path) for path in names if path.is_file()]
    source, target = (
        sentencepiece.SentencePieceProcessor(model_file=path) for path in (paths[0], paths[-1])
    )
    engine = ctranslate2.Translator(
        job["folders"]["converted"],
        compute_type=compute_type,
        inter_threads=threads,
        intra_threads=1,
    )

    def translate(texts):
        rows = (source.encode(text, out_type=str) for text in texts)
        limits = {"min_decoding_length": 0, "max_decoding_length": 256}
        results = engine.translate_iterable(rows, max_batch_size=64, **limits, **SEARCH)
        return [target.decode(result.hypotheses[0]) for result in results]

    return make_prepare(translate)


def start_saved_model(job):
    """Starts a SavedModel of the run."""
    import tensorflow as tf
    import tensorflow_text  # noqa: F401

    loaded = tf.saved_model.load(job["folders"][job["engine"]])
    serve = loaded.signatures["serving_default"]

    def translate(texts):
        translations = serve(text=tf.constant(texts))["translation"].numpy()
        return [translation.decode() for translation in translations[:, 0]]

    return make_prepare(translate)


def make_prepare(translate):
    """Returns a function that prepares a request, which translates several batches in a row."""

    def prepare(request):
        return lambda: [one for texts in request["requests"] for one in translate(texts)]

    return prepare


ENGINES = {LIVE: (start_live, ["tensorflow", "keras"])}
ENGINES |= {name: (start_saved_model, ["tensorflow", "tensorflow-text"]) for name in OPTIONS}
for start, names in ((start_ctranslate2, CTRANSLATE2), (start_loop, LOOPS)):
    ENGINES |= {
        name: (functools.partial(start, kind), ["ctranslate2"]) for name, kind in names.items()
    }

if __name__ == "__main__":
    work(ENGINES)
