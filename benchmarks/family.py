"""Trains the family, what came before and after the Transformer, on one corpus and compares it.

    python -m benchmarks.family --output runs/family
    python -m benchmarks.family --output runs/family --only transformer recurrent
    python -m benchmarks.family --output runs/multi30k --epochs 20 \
        --config trainers/recipes/multi30k_en_de.yaml --languages en de \
        --source train.en.gz --target train.de.gz --validation-source val.en.gz \
        --validation-target val.de.gz --test-source test.en.gz --test-target test.de.gz

Every member is trained by `python -m trainers.translation` with the recipe of `--config`: the same
tokens in the same batches, the same schedule, and as many weights as the Transformer of the recipe,
within 5 %: one size of each other member is fitted (`benchmarks/family_members.py`). The recipes
are written to `OUTPUT/NAME.yaml`, the runs to `OUTPUT/NAME`, with `training.log`. Finished runs are
not trained again, and interrupted ones go on.

Then each run starts in a separate process, and the processes take turns, with nothing else running
on the machine: passes over `--steps` batches of training, spread over an epoch, from fresh weights;
translation with 4 beams of the first `--sentences` test sentences, one by one and 32 at a time.
Times are medians of `--repeats` turns. `first step` is the first training step, which traces and
compiles, of one batch shape; `memory` is the peak resident memory of the process after training
passes. Speeds are real target tokens per second. `steps` are those that wait for each other in
training and in translation of a sentence.

The results are written to `OUTPUT/family.json`, and drawn by `--figure`: validation BLEU after each
epoch against the time that it takes at the measured speed.
"""

import json
import os
import re
import sys
import tempfile
from pathlib import Path

import yaml

from benchmarks.family_members import MEMBERS, PLAIN, count_weights, fitted_settings
from benchmarks.family_report import draw_figure, print_results
from benchmarks.parser import make_parser
from benchmarks.runs import train_run, write_recipe
from benchmarks.training import write_batches
from benchmarks.turns import median_seconds, start_workers, take_turns, usable_processors

RECIPE = Path(__file__).parents[1] / "trainers" / "recipes" / "phrasebook.yaml"
FILES = [f"{part}{side}" for part in ("", "validation-", "test-") for side in ("source", "target")]
WORDS = ("il", "elle")  # the pronouns of the phrasebook's coreference sentences
EPOCH = re.compile(r"^Epoch (\d+)/\d+$|^(\d+)/\2 - (?:.*\bval_bleu: ([\d.]+))?", re.MULTILINE)


def main(arguments=None):
    arguments = parse(arguments)
    check_existence(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    arguments.output.mkdir(parents=True, exist_ok=True)
    names = list(dict.fromkeys([PLAIN, *arguments.only]))
    settings = write_recipes(arguments, names)
    for name in names:
        train_run(arguments.output / name)
    results = {
        name: {
            "weights": count_weights(settings[name]),
            "bleu": read_curve(arguments.output / name / "training.log"),
        }
        for name in names
    }
    measure(arguments, results)
    file = arguments.output / "family.json"
    file.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print_results(results)
    if arguments.figure:
        draw_figure(results, arguments.figure)


def read_settings(recipe):
    """Returns the settings of a recipe file, with the sizes of its preset."""
    from trainers.recipe import Recipe

    settings = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    sizes = Recipe(output=".", **settings).model_sizes()
    return settings | {name: sizes[name] for name in ("num_layers", "d_model", "num_heads", "d_ff")}


def write_recipes(arguments, names):
    """Writes the recipe of each member; returns their settings by the name of the member."""
    settings = read_settings(arguments.config) | corpus(arguments) | {"packed": "never"}
    settings |= {"epochs": arguments.epochs} if arguments.epochs else {}
    if not settings.get("vocabulary_size"):
        raise SystemExit(f"{arguments.config} must say vocabulary_size, the same for all members.")
    fitted = {}
    for name in names:
        try:
            fitted[name] = fitted_settings(MEMBERS[name], settings, count_weights)
        except ValueError as error:
            raise SystemExit(f"benchmarks.family: {error}") from None
        write_recipe(arguments.output / name, yaml.safe_dump(fitted[name], sort_keys=False))
    return fitted


def corpus(arguments):
    """Returns the settings of a recipe that name the corpus."""
    if arguments.source is None:
        return {}
    source_language, target_language = arguments.languages
    return {
        "corpus": "files",
        "train_source": str(arguments.source.resolve()),
        "train_target": str(arguments.target.resolve()),
        "validation_source": str(arguments.validation_source.resolve()),
        "validation_target": str(arguments.validation_target.resolve()),
        "source_language": source_language,
        "target_language": target_language,
    }


def read_curve(log):
    """Returns `(step, validation BLEU)` of each epoch that has one, from the log of a training.

    The epoch in which an interrupted training goes on shows the steps that it had left.
    """
    number, length, curve = 0, 0, {}
    for begun, steps, bleu in EPOCH.findall(log.read_text(encoding="utf-8")):
        number, length = int(begun or number), max(int(steps or 0), length)
        if bleu:
            curve[number] = float(bleu)
    return [(epoch * length, bleu) for epoch, bleu in curve.items()]


def measure(arguments, results):
    """Measures all runs, in turns; adds to the results of each."""
    with tempfile.TemporaryDirectory() as folder:
        batches = Path(folder) / "batches.npz"
        tests = prepare_texts(arguments, batches)
        job = {"threads": arguments.threads, "batches": str(batches)}
        job["output"] = str(arguments.output.resolve())
        pythons = dict.fromkeys(results, sys.executable)
        with start_workers("benchmarks.family_engines", pythons, **job) as runs:
            compare_quality(runs, results, tests)
            sentences = first_lines(tests["test"]["source"], arguments.sentences)
            time_runs(arguments, runs, results, sentences)


def prepare_texts(arguments, path):
    """Writes training batches, spread over an epoch, and the validation text.

    Returns:
        The requests of quality by name: `test`, `validation`, and `coreference` of the phrasebook.
    """
    from keras_transformer.distribution import choose_devices
    from trainers.batches import prepare_data
    from trainers.corpora import open_corpora
    from trainers.recipe import Recipe
    from trainers.tokenizers import load_tokenizers

    run = arguments.output / PLAIN
    settings = yaml.safe_load(Path(f"{run}.yaml").read_text(encoding="utf-8"))
    recipe = Recipe(output=run, **settings)
    corpora, devices = open_corpora(recipe), choose_devices("one", 0)
    data = prepare_data(recipe, corpora, load_tokenizers(run), devices, run)
    stride = max(1, data.batches.steps_per_epoch // arguments.steps)
    epoch = list(data.batches.epoch(0))
    write_batches(epoch[::stride][: arguments.steps], path)
    sides = [arguments.output / f"validation.{side}" for side in ("source", "target")]
    for side, lines in zip(sides, zip(*data.validation_text, strict=True), strict=True):
        side.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    tests = {"validation": as_request(*sides)}
    if arguments.source is None:
        held_out = run / "held_out"
        for name, file, words in (("test", "everyday", ()), ("coreference", "coreference", WORDS)):
            sides = (held_out / f"{file}.{language}" for language in corpora.languages)
            tests[name] = as_request(*sides, words)
    elif arguments.test_source:
        tests["test"] = as_request(arguments.test_source, arguments.test_target)
    return {"test": tests["validation"], **tests}


def as_request(source, reference, words=()):
    """Returns a request of quality."""
    return {
        "source": str(source.resolve()),
        "reference": str(reference.resolve()),
        "words": list(words),
    }


def first_lines(path, count):
    """Returns the first lines of a text file, plain or .gz."""
    from benchmarks.family_engines import read_lines

    return read_lines(path)[:count]


def compare_quality(runs, results, tests):
    """Adds the quality of each run on each text."""
    for name, run in runs.items():
        print(f"{name}: translating {', '.join(tests)}", flush=True)
        for test, request in tests.items():
            results[name][test] = run.ask({"quality": request})["output"]


def time_runs(arguments, runs, results, sentences):
    """Adds the times and the memory of each run, measured in turns."""
    for name, run in runs.items():
        results[name]["first_step"] = run.ask({"steps": 1})["seconds"]
    passes = take_turns(runs, {"steps": arguments.steps}, arguments.repeats)
    batches = {1: sentences[: arguments.single], 32: sentences}
    decoded = {
        batch: take_turns(runs, {"decode": {"texts": texts, "batch": batch}}, arguments.repeats)
        for batch, texts in batches.items()
    }
    for name, run in runs.items():
        result, last = results[name], passes[name][-1]["output"]
        result["seconds_per_step"] = median_seconds(passes[name]) / arguments.steps
        result["training_tokens"] = last["tokens"] / median_seconds(passes[name])
        result["memory"] = run.ask({"memory": True})["output"]
        for batch, answers in decoded.items():
            seconds = median_seconds(answers[name])
            result[f"decoding_tokens_{batch}"] = answers[name][-1]["output"] / seconds
        result["sequential"] = run.ask({"sequential": sentences})["output"]


def parse(arguments):
    parser = make_parser("family", __doc__)
    option = parser.add_argument
    option("--output", type=Path, required=True, help="folder for recipes, runs and results")
    option("--only", nargs="+", choices=MEMBERS, default=list(MEMBERS), metavar="NAME")
    option("--config", type=Path, default=RECIPE, help="recipe of the plain model")
    option("--corpus", choices=["phrasebook"], default="phrasebook", help="the recipe's own text")
    for name in FILES:
        option(f"--{name}", type=Path, help="one sentence per line, plain or .gz")
    option("--languages", nargs=2, default=["source", "target"], help="codes, such as en de")
    option("--epochs", type=int, default=0, help="epochs instead of those of the recipe")
    option("--steps", type=int, default=24, help="batches per pass")
    option("--sentences", type=int, default=64, help="sentences to translate, 32 at a time")
    option("--single", type=int, default=16, help="sentences to translate one by one")
    option("--threads", type=int, default=usable_processors())
    option("--repeats", type=int, default=3)
    option("--figure", type=Path, help="file for a figure, .svg or .png")
    parsed = parser.parse_args(arguments)
    check_files(parser, parsed)
    return parsed


def check_files(parser, parsed):
    """Ends the program if files of a corpus are not given together."""
    files = {name: getattr(parsed, name.replace("-", "_")) for name in FILES}
    needed = [name for name in FILES[:4] if files[name] is None]
    given = [f"--{name}" for name, file in files.items() if file]
    if given and needed:
        parser.error(f"{', '.join(given)}: give {', '.join(f'--{one}' for one in needed)}, too")
    if (files["test-source"] is None) != (files["test-target"] is None):
        parser.error("give --test-source and --test-target together")


def check_existence(arguments):
    """Ends the program if a file of the recipe or of the corpus is missing."""
    files = [getattr(arguments, name.replace("-", "_")) for name in FILES]
    for file in [arguments.config, *filter(None, files)]:
        if not file.is_file():
            raise SystemExit(f"benchmarks.family: there is no file {file}")


if __name__ == "__main__":
    main()
