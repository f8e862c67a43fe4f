"""Finds and translates the marked sentence of a long document, with memory-compressed attention.

    python -m benchmarks.documents --run runs/family/memory_compressed --output runs/documents

A document has 200 sentences of the phrasebook, some 2,000 tokens, of which one stands between two
marks: its translation is the target. The model of `--run`, which translates single sentences, goes
on to longer and longer documents, stage after stage (`--sentences`, `--steps`). After each,
documents of held-out sentences are translated, greedily, and after the last one with `--beam-size`
beams, too; the share of exact translations is printed. The weights of each stage are kept in
`--output`, and a finished stage is not trained again; the last one is always translated with.

Blocks of local attention have `--block-length` tokens, few at first: so already short documents
have many blocks, and the attention to all of them learns to find the sentence. Of long blocks, few
end within a translation.

A step on long documents translates few sentences, and the model forgets how to: `--short-steps` of
a stage stand between its steps, on documents as short as those of the first stage.

The tokens of the document have the weight `--source-weight` in training: the target is a few tokens
of some 2,000, and predicting random sentences says little about it.

Then a training step on documents of the last stage is timed, and so is the same model with full
attention, `decoder_only`: each in a separate process, in turns, with nothing else running. Memory
is the peak resident memory of the process.
"""

import functools
import statistics
import sys
import time
from pathlib import Path

import keras
import numpy as np

from benchmarks.documents_engines import (
    COMPRESSED,
    ENGINES,
    TARGET_LENGTH,
    compile_for_documents,
    make_model,
)
from benchmarks.marked_documents import TokenPairs, make_batch
from benchmarks.parser import make_parser
from benchmarks.turns import (
    median_seconds,
    print_table,
    start_workers,
    take_turns,
    usable_processors,
)

BATCH = 4  # documents that are translated at a time
OF_STAGES = ("sentences", "steps", "block_length", "learning_rate", "short_steps")


def main(arguments=None):
    arguments = parse(arguments)
    if not (arguments.run / "run.json").is_file():
        raise SystemExit(f"benchmarks.documents: {arguments.run} is not a finished run")
    arguments.output.mkdir(parents=True, exist_ok=True)
    length = learn(arguments)
    if arguments.repeats:
        time_steps(arguments, length)


def learn(arguments):
    """Trains stage after stage; returns the length of the documents of the last one."""
    from keras_transformer import Translator
    from keras_transformer.data.phrasebook import phrasebook

    translator, book = Translator.load(arguments.run), phrasebook()
    tokenizers = translator.tokenizer, translator.target_tokenizer
    training = TokenPairs.of_texts(book.train, *tokenizers)
    held_out = TokenPairs.of_texts(book.held_out["everyday"], *tokenizers)
    stages = zip(*(getattr(arguments, name) for name in OF_STAGES), strict=True)
    for sentences, steps, block_length, learning_rate, short_steps in stages:
        model = make_model(translator.model, COMPRESSED, block_length=block_length)
        model.set_weights(translator.model.get_weights())
        model.source_weight = arguments.source_weight
        translator.model = model
        weights = arguments.output / f"{sentences}.weights.h5"
        length = training.longest(sentences)
        documents = documents_of_a_step(arguments, length)
        print(f"{sentences} sentences: {documents} x {length} tokens a step", flush=True)
        is_last, is_new = sentences == arguments.sentences[-1], not weights.is_file()
        if is_new:
            train_stage(model, training, arguments, sentences, steps, learning_rate, short_steps)
            model.save_weights(weights)
        else:
            model.load_weights(weights)
        beams = [1, arguments.beam_size] if is_last else [1] * is_new
        for beam_size in dict.fromkeys(beams):
            share = exact_share(translator, held_out, sentences, length, arguments, beam_size)
            told = f"{share:.1%} of {arguments.documents} exact, {beam_size} beams"
            print(f"{sentences} sentences: {told}", flush=True)
    return length


def train_stage(model, training, arguments, sentences, steps, learning_rate, short_steps):
    """Trains on documents of so many sentences, and on short ones between them."""
    all_steps = steps * (1 + short_steps)
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, all_steps, 0.05)
    compile_for_documents(model, schedule)
    generator = np.random.default_rng(sentences)

    def batches_of(count):
        length = training.longest(count)
        sizes = (documents_of_a_step(arguments, length), count, length, TARGET_LENGTH)
        return functools.partial(make_batch, training, generator, *sizes)

    long_batch = batches_of(sentences)
    if short_steps:
        batches = [long_batch, *[batches_of(arguments.sentences[0])] * short_steps]
        fit_in_turns(model, batches, steps, arguments.report_every)
    else:
        fit(model, long_batch, steps, arguments.report_every)


def fit(model, next_batch, steps, report_every):
    """Trains on batches that are made one after the other."""

    def batches():
        while True:
            yield next_batch()

    epochs = max(1, steps // report_every)
    sizes = {"steps_per_epoch": steps // epochs, "epochs": epochs}
    model.fit(batches(), **sizes, shuffle=False, verbose=2)


def fit_in_turns(model, batches, steps, report_every):
    """Trains on batches of several kinds in turns; reports on the first kind."""
    start, seen = time.monotonic(), []
    for step in range(1, steps + 1):
        logs = []
        for make in batches:
            model.reset_metrics()
            logs.append(model.train_on_batch(*make(), return_dict=True))
        seen.append(logs[0])
        if step % report_every == 0:
            means = {name: statistics.fmean(float(one[name]) for one in seen) for name in seen[0]}
            told = " - ".join(f"{name}: {mean:.4f}" for name, mean in means.items())
            seconds = time.monotonic() - start
            print(f"step {step:,} of {steps:,} - {seconds:,.0f}s - {told}", flush=True)
            seen = []


def documents_of_a_step(arguments, length):
    """Returns how many documents of a length make a batch."""
    return max(1, arguments.tokens_per_batch // (length + TARGET_LENGTH))


def exact_share(translator, pairs, sentences, length, arguments, beam_size):
    """Returns the share of documents whose marked sentence is translated exactly."""
    import tensorflow as tf

    from keras_transformer import generate

    model, exact = translator.model, 0
    ids = {"bos_id": pairs.bos_id, "eos_id": pairs.eos_id}
    options = {"length": TARGET_LENGTH, "beam_size": beam_size}
    search = tf.function(functools.partial(generate, model, **ids, **options), jit_compile=True)
    generator = np.random.default_rng(0)
    limits = np.full(BATCH, TARGET_LENGTH, "int32")
    batches = arguments.documents // BATCH
    for _ in range(batches):
        inputs, labels = make_batch(pairs, generator, BATCH, sentences, length, TARGET_LENGTH)
        found = search(tf.constant(inputs["source"]), tf.constant(limits))
        best = keras.ops.convert_to_numpy(found.ids)[:, 0]
        exact += int((best == labels).all(axis=1).sum())
    return exact / (batches * BATCH)


def time_steps(arguments, length):
    """Prints seconds and memory of a training step with each kind of attention."""
    job = {"run": str(arguments.run.resolve()), "length": length, "threads": arguments.threads}
    job["options"] = {COMPRESSED: {"block_length": arguments.block_length[-1]}}
    pythons = dict.fromkeys(ENGINES, sys.executable)
    lines = []
    with start_workers("benchmarks.documents_engines", pythons, **job) as engines:
        passes = take_turns(engines, {"steps": 1}, arguments.repeats)
        for name, engine in engines.items():
            seconds = median_seconds(passes[name])
            memory = engine.ask({"memory": True})["output"]
            first = passes[name][0]["seconds"]
            lines.append([name, f"{seconds:.2f}", f"{first:.0f}", f"{memory / 1e6:,.0f}"])
    print_table(["attention", "seconds a step", "first step", "memory (MB)"], lines)


def parse(arguments):
    parser = make_parser("documents", __doc__)
    option = parser.add_argument
    option("--run", type=Path, required=True, help="finished run of memory_compressed")
    option("--output", type=Path, required=True, help="folder for the weights of the stages")
    option("--sentences", nargs="+", type=int, default=[4, 20, 60, 200], help="of each stage")
    option("--steps", nargs="+", type=int, default=[1500, 2000, 4000, 3000], help="of each stage")
    option("--short-steps", nargs="+", type=int, default=[0, 0, 0, 1], help="of each stage")
    option("--tokens-per-batch", type=int, default=4400)
    option("--block-length", nargs="+", type=int, default=[64, 64, 256, 256], help="of each stage")
    rates = [1e-3, 1e-3, 5e-4, 3e-4]
    option("--learning-rate", nargs="+", type=float, default=rates, help="falls to a 20th")
    option("--source-weight", type=float, default=0.0)
    option("--beam-size", type=int, default=4, help="of the last documents, besides greedy search")
    option("--documents", type=int, default=200, help="number of held-out documents")
    option("--report-every", type=int, default=50, help="steps between lines of progress")
    option("--threads", type=int, default=usable_processors())
    option("--repeats", type=int, default=3, help="timed steps of each attention; 0 times none")
    parsed = parser.parse_args(arguments)
    if len({len(getattr(parsed, name)) for name in OF_STAGES}) > 1:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in OF_STAGES)
        parser.error(f"give {options} with a number for each stage")
    return parsed


if __name__ == "__main__":
    main()
