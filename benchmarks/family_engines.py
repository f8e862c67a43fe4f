"""Finished runs that `benchmarks.family` measures, each in a separate process.

`python -m benchmarks.family_engines` starts one; `benchmarks.worker` defines the protocol.
"""

import gzip
from pathlib import Path

import yaml

from benchmarks.family_members import MEMBERS
from benchmarks.training_engines import prepare_fit, read_batches
from benchmarks.worker import work

BEAMS = 4


def start_run(job):
    """Starts a run of `benchmarks.family`: its translator, and its model once more, untrained."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(job["threads"])
    import keras_transformer as kt
    from trainers.model import compile_model, make_model
    from trainers.recipe import Recipe

    run = Path(job["output"]) / job["engine"]
    settings = yaml.safe_load(Path(f"{run}.yaml").read_text(encoding="utf-8"))
    translator, recipe = kt.Translator.load(run), Recipe(output=run, **settings)
    model = make_model(recipe, translator.tokenizer.vocabulary_size(), None)
    model.build()
    compile_model(recipe, model, recipe.compile_with_xla)
    batches = [
        ({"source": source, "target": target}, labels)
        for source, target, labels in read_batches(job["batches"])
    ]

    def decode(request):
        texts, batch = request["texts"], request["batch"]

        def run():
            tokens = 0
            for start in range(0, len(texts), batch):
                for one in translator.translate(texts[start : start + batch], beam_size=BEAMS):
                    tokens += len(one.hypotheses[0].tokens)
            return tokens

        return run

    def quality(request):
        return lambda: measure_quality(translator, **request)

    def steps_in_sequence(request):
        return lambda: sequential_steps(translator, request)

    return prepare_fit(model, batches, decode=decode, quality=quality, sequential=steps_in_sequence)


def read_lines(path):
    """Returns the lines of a text file, plain or .gz."""
    opened = gzip.open if str(path).endswith(".gz") else open
    with opened(path, "rt", encoding="utf-8") as file:
        return file.read().splitlines()


def measure_quality(translator, source, reference, words):
    """Translates a text, greedily and with beams, and compares it with its reference.

    Args:
        translator: `Translator`.
        source: File with a sentence a line, plain or .gz.
        reference: File with the translation of each line.
        words: List of words whose use is compared; may be empty.

    Returns:
        A dict: BLEU and the share of exact translations, in percent, `greedy` and with `beams`; the
        `loss` of the references, in nats a token; the share of references whose `words` were found,
        in percent.
    """
    from keras_transformer.training import exact_match, make_bleu, word_agreement

    sources, references = read_lines(source), read_lines(reference)
    bleu = make_bleu("auto", translator.about.get("target_language", ""), references)
    result = {}
    for name, beams in (("greedy", 1), ("beams", BEAMS)):
        texts = [one.text for one in translator.translate(sources, beam_size=beams)]
        result[f"{name}_bleu"] = bleu.corpus_score(texts, [references]).score
        result[f"{name}_exact"] = exact_match(texts, references)
    scores = translator.score(sources, references)
    result["loss"] = -sum(one.log_prob for one in scores) / sum(len(one.tokens) for one in scores)
    if words:
        result["words"] = word_agreement(texts, references, words)[0]
    return result


def sequential_steps(translator, texts):
    """Returns how many steps wait for each other, a sentence: in training and in translation.

    A recurrent stack goes from token to token, any other computes all tokens of a text at once. A
    step is one token of a stack, or all tokens at once, whatever the number of its layers.
    """
    import keras

    from keras_transformer.keras_patches import layers_of

    def is_recurrent(stack):
        return any(isinstance(layer, keras.layers.RNN) for layer in layers_of(stack))

    translations = translator.translate(texts, beam_size=BEAMS)
    source = sum(len(one.source_tokens) for one in translations) / len(texts)
    target = sum(len(one.hypotheses[0].tokens) for one in translations) / len(texts)
    encoder, decoder = getattr(translator.model, "encoder", None), translator.model.decoder
    if encoder is None:  # source and target are one sequence
        return {"training": source + target if is_recurrent(decoder) else 1, "translation": target}
    reading = source if is_recurrent(encoder) else 1
    writing = target if is_recurrent(decoder) else 1
    return {"training": reading + writing, "translation": reading + target}


ENGINES = dict.fromkeys(MEMBERS, (start_run, ("keras", "tensorflow")))

if __name__ == "__main__":
    work(ENGINES)
