"""Translates all words at once, from latents, and word by word: BLEU and time beside each other.

    python -m benchmarks.latents --output runs/latents
    python -m benchmarks.latents --output runs/latents_multi30k --data-folder data/multi30k \
        --config trainers/recipes/multi30k_en_de_quick.yaml \
        --test-source test_2016_flickr.en.gz --test-target test_2016_flickr.de.gz

Trains three models by the recipe of `--config`: the Transformer that it describes, which is the
teacher; the architecture `latent` of the same sizes; and the same on the teacher's translations of
the training text. Then it translates the test text: with the teacher, greedily and with 4 beams,
and with both others, greedily, and with `--candidates` hypotheses of which the teacher chooses the
best. Without `--test-source` the corpus is the phrasebook, and the test its everyday sentences.

Seconds are those of `--single` sentences, one by one, each system in turns with the others in one
process, with nothing else running; medians of `--repeats` turns, without compilation. Parts of the
time are measured one by one: the encoder, and the pass that finds the words, whose results are the
same in any search; the rest is the search for latents.

Recipes are written to `OUTPUT/NAME.yaml`, runs to `OUTPUT/NAME`, results to `OUTPUT/results.json`.
Finished runs are not trained again, and interrupted ones go on.
"""

import functools
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import yaml

from benchmarks.family_engines import read_lines
from benchmarks.parser import make_parser
from benchmarks.runs import train_run, write_recipe
from benchmarks.turns import print_table

RECIPE = Path(__file__).parents[1] / "trainers" / "recipes" / "phrasebook.yaml"
TEACHER, LATENT, TAUGHT = "teacher", "latent", "latent, taught"
SIDES = ("source", "target")
BEAMS = 4


def main(arguments=None):
    arguments = parse(arguments)
    arguments.output.mkdir(parents=True, exist_ok=True)
    settings = yaml.safe_load(arguments.config.read_text(encoding="utf-8"))
    settings |= {"epochs": arguments.epochs} if arguments.epochs else {}
    settings["packed"] = "never"  # latents cannot share rows
    settings, test = with_files(settings, arguments)
    train_all(settings, arguments)
    systems = load_systems(arguments)
    sources, references = test
    results = {name: quality(system, sources, references) for name, system in systems.items()}
    if arguments.repeats:
        add_seconds(systems, sources[: arguments.single], arguments.repeats, results)
    file = arguments.output / "results.json"
    file.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print_results(results)
    if arguments.repeats:
        print_parts(arguments, sources[: arguments.single])


def with_files(settings, arguments):
    """Returns the settings with the files of the corpus, and the sources and references to test."""
    if arguments.test_source:
        folder = arguments.data_folder.resolve()
        names = [f"{part}_{side}" for part in ("train", "validation") for side in SIDES]
        test = [read_lines(folder / getattr(arguments, f"test_{side}")) for side in SIDES]
        return settings | {name: str(folder / settings[name]) for name in names}, test
    from keras_transformer.data.phrasebook import phrasebook

    book = phrasebook()
    settings |= {"corpus": "files", "source_language": "en", "target_language": "fr"}
    parts = {"train": book.train, "validation": book.validation}
    for part, pairs in parts.items():
        for side, lines in zip(SIDES, zip(*pairs, strict=True), strict=True):
            file = arguments.output.resolve() / f"{part}.{side}"
            file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            settings[f"{part}_{side}"] = str(file)
    return settings, [list(side) for side in zip(*book.held_out["everyday"], strict=True)]


def train_all(settings, arguments):
    """Trains the teacher, the model of latents, and the same on the teacher's translations."""
    train(arguments, TEACHER, settings)
    others = ("num_slices", "decay") if arguments.bottleneck == "quantizer" else ("bottleneck",)
    names = ("bits", *others, "halvings", "startup_steps")
    options = {name: getattr(arguments, name) for name in names}
    settings = settings | {"architecture": "latent", "architecture_options": options}
    settings |= {"norm": arguments.norm} if arguments.norm else {}
    settings |= {"epochs": arguments.latent_epochs} if arguments.latent_epochs else {}
    train(arguments, LATENT, settings)
    translations = arguments.output.resolve() / "teacher.target"
    command = [sys.executable, "-m", "keras_transformer", "translate", "--resume"]
    command += ["--run", str(arguments.output / TEACHER), "--input", settings["train_source"]]
    if subprocess.call([*command, "--output", str(translations)]):
        raise SystemExit("benchmarks.latents: the teacher did not translate, see above")
    train(arguments, TAUGHT, settings | {"train_target": str(translations)})


def run_of(arguments, name):
    """Returns the path of a run."""
    return arguments.output / name.replace(", ", "_")


def train(arguments, name, settings):
    """Trains a run with these settings, unless it is finished."""
    run = run_of(arguments, name)
    write_recipe(run, yaml.safe_dump(settings, sort_keys=False))
    train_run(run)


def load_systems(arguments):
    """Returns the functions from texts to translations that are compared, by name."""
    from keras_transformer import Translator, rescore

    runs = {name: Translator.load(run_of(arguments, name)) for name in (TEACHER, LATENT, TAUGHT)}
    count = arguments.candidates

    def search(name, beams, texts):
        return runs[name].translate(texts, beam_size=beams)

    def chosen(name, texts):
        found = runs[name].translate(texts, beam_size=count, top_beams=count)
        return rescore(runs[TEACHER], texts, found)

    systems = {f"{TEACHER}, greedy": functools.partial(search, TEACHER, 1)}
    systems[f"{TEACHER}, {BEAMS} beams"] = functools.partial(search, TEACHER, BEAMS)
    for name in (LATENT, TAUGHT):
        systems[name] = functools.partial(search, name, 1)
        systems[f"{name}, {count} rescored"] = functools.partial(chosen, name)
    return systems


def quality(system, sources, references):
    """Returns BLEU and the percentage of exact translations of a system."""
    from keras_transformer.training import exact_match, make_bleu

    texts = [one.text for one in system(sources)]
    bleu = make_bleu("auto", "", references)
    return {
        "bleu": bleu.corpus_score(texts, [references]).score,
        "exact": exact_match(texts, references),
    }


def add_seconds(systems, texts, repeats, results):
    """Adds the seconds a sentence of each system, one by one, in turns."""
    seconds = {name: [] for name in systems}
    for turn in range(-1, repeats):  # the first one compiles
        for name, system in systems.items():
            taken = seconds_of(lambda system=system: [system([text]) for text in texts])
            seconds[name] += [taken / len(texts)] if turn >= 0 else []
    for name, values in seconds.items():
        results[name]["seconds"] = statistics.median(values)


def seconds_of(work):
    """Returns how long a function takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def print_results(results):
    lines = [
        [
            name,
            f"{one['bleu']:.2f}",
            f"{one['exact']:.1f} %",
            f"{1000 * one['seconds']:.1f}" if "seconds" in one else "",
        ]
        for name, one in results.items()
    ]
    print_table(["system", "BLEU", "exact", "ms a sentence"], lines)


def print_parts(arguments, texts):
    """Prints where the time of a greedy translation from latents goes."""
    import numpy as np
    import tensorflow as tf

    from keras_transformer import Translator, generate

    translator = Translator.load(run_of(arguments, TAUGHT))
    model, tokenizer = translator.model, translator.tokenizer
    ids = {"bos_id": tokenizer.bos_id, "eos_id": tokenizer.eos_id}
    length = 64

    def compiled(function):
        return tf.function(function, jit_compile=True, autograph=False)

    def search(source, limits):
        return generate(model, source, limits, length=length, beam_size=1, **ids).ids

    def found(latents, source):
        return model.words(latents, model.encode(source))

    places = -(-length // model.words_per_latent) + 1
    sources = [
        tf.constant(np.pad([[*row, tokenizer.eos_id]], ((0, 0), (0, length - len(row) - 1))))
        for row in tokenizer.tokenize(texts)
        if len(row) < length
    ]
    few = -(-places // 3)  # a pass over so many places is enough for short sentences
    limits, latents = tf.constant([length]), tf.fill((1, 1, few), 3)
    jobs = {
        "all": functools.partial(compiled(search), limits=limits),
        "encoder": compiled(lambda source: model.encode(source).encoder_output),
        "encoder and words": functools.partial(compiled(found), latents),
    }
    seconds = {name: [] for name in jobs}
    for turn in range(-1, arguments.repeats):
        for name, job in jobs.items():
            taken = seconds_of(lambda job=job: [np.asarray(job(source=one)) for one in sources])
            seconds[name] += [taken / len(sources)] if turn >= 0 else []
    median = {name: statistics.median(values) for name, values in seconds.items()}
    both, encoder = median["encoder and words"], median["encoder"]
    parts = {"encoder": encoder, "latents": median["all"] - both, "words": both - encoder}
    print_table(
        ["part", "ms a sentence"], [[name, f"{1000 * one:.2f}"] for name, one in parts.items()]
    )


def parse(arguments):
    parser = make_parser("latents", __doc__)
    option = parser.add_argument
    option("--output", type=Path, required=True, help="folder for recipes, runs and results")
    option("--config", type=Path, default=RECIPE, help="recipe of the teacher")
    option("--data-folder", type=Path, help="folder of the recipe's and the test's files")
    for side in SIDES:
        option(f"--test-{side}", help="one sentence per line, plain or .gz")
    option("--epochs", type=int, default=0, help="epochs instead of those of the recipe")
    option("--latent-epochs", type=int, default=0, help="the same, of the models of latents alone")
    option("--norm", choices=("post", "pre"), help="of the models of latents, not the recipe's")
    option("--bottleneck", choices=("quantizer", "hashing"), default="quantizer")
    option("--bits", type=int, default=14, help="of a code")
    option("--num-slices", type=int, default=2, help="codebooks of a quantizer")
    option("--decay", type=float, default=0.999, help="of what codebooks follow, at each step")
    option("--halvings", type=int, default=3, help="2 to the power of it words are a latent")
    option("--startup-steps", type=int, default=500)
    option("--candidates", type=int, default=10, help="hypotheses to rescore")
    option("--single", type=int, default=50, help="sentences that are timed, one by one")
    option("--repeats", type=int, default=3, help="turns that are timed; 0 times nothing")
    parsed = parser.parse_args(arguments)
    given = [parsed.data_folder, parsed.test_source, parsed.test_target]
    if any(given) and not all(given):
        parser.error("give --data-folder, --test-source and --test-target together")
    return parsed


if __name__ == "__main__":
    main()
