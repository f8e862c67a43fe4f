"""Trains students with deep encoders and shallow decoders, and compares them with their teacher.

    python -m benchmarks.students --data-folder data/multi30k --output runs/students

The recipe of `--config` trains a model of each of `--shapes`, blocks of the encoder + blocks of the
decoder. The first one is the teacher: it translates the training text, and models of the shapes
`--taught`, all unless they are given, are trained on the same sources with both targets, those of
the text and the teacher's, for as many epochs, which have twice the steps. Each model gets a
lexical shortlist of `--size` tokens, learned from the training text. Options of the recipe that
only students have are `--student-options`, such as `norm=pre`; with them, one more model has the
teacher's shape and these options, but no teacher.

The table has the weights of each model, its BLEU on the validation and the test text, with and
without its shortlist, and the seconds that it takes for the test text, from text to text: medians
of `--repeats` turns, in which the models alternate in one process, with nothing else running.

Recipes are written to `OUTPUT/NAME.yaml`, runs to `OUTPUT/NAME`, results to `OUTPUT/results.json`.
Finished runs are not trained again, and interrupted ones go on.
"""

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

RECIPE = Path(__file__).parents[1] / "trainers" / "recipes" / "multi30k_en_de_quick.yaml"
SIDES = ("source", "target")
TEACHER_SIDE = "teacher.target"


def main(arguments=None):
    arguments = parse(arguments)
    arguments.output.mkdir(parents=True, exist_ok=True)
    settings = yaml.safe_load(arguments.config.read_text(encoding="utf-8"))
    settings["data_folder"] = str(arguments.data_folder.resolve())
    settings |= {"epochs": arguments.epochs} if arguments.epochs else {}
    if not isinstance(settings["train_source"], str):
        raise SystemExit("benchmarks.students: --config must be a recipe of one corpus of files")
    settings["bleu_every"] = settings["epochs"]  # nobody watches
    names = train_all(arguments, settings)
    for name in names:
        add_shortlist(arguments, settings, name)
    results = compare(arguments, settings, names)
    file = arguments.output / "results.json"
    file.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print_results(results)


def train_all(arguments, settings):
    """Trains all models; returns the names of the runs."""
    first, *others = arguments.shapes
    names = [train(arguments, settings, first, first)]
    settings = settings | dict(arguments.student_options)
    if arguments.student_options:
        names.append(train(arguments, settings, first, f"{first}, untaught"))
    for shape in others:
        names.append(train(arguments, settings, shape, shape))
    translations = arguments.output.resolve() / TEACHER_SIDE
    sources = arguments.data_folder / settings["train_source"]
    run_command(
        "translate", run_of(arguments, names[0]), "--input", sources, "--output", translations,
        "--resume",
    )  # fmt: skip
    both = {
        "train_source": [settings["train_source"]] * 2,
        "train_target": [settings["train_target"], str(translations)],
    }
    for shape in arguments.shapes if arguments.taught is None else arguments.taught:
        names.append(train(arguments, settings | both, shape, f"{shape}, taught"))
    return names


def train(arguments, settings, shape, name):
    """Trains a run of a shape, unless it is finished; returns its name."""
    encoder, decoder = map(int, shape.split("+"))
    run = run_of(arguments, name)
    sizes = {"num_layers": encoder, "num_decoder_layers": decoder}
    write_recipe(run, yaml.safe_dump(settings | sizes, sort_keys=False))
    train_run(run)
    return name


def run_of(arguments, name):
    """Returns the path of a run."""
    return arguments.output / name.replace(", ", "_").replace("+", "_")


def add_shortlist(arguments, settings, name):
    """Adds a shortlist to a run."""
    run = run_of(arguments, name)
    files = {side: arguments.data_folder / settings[f"train_{side}"] for side in SIDES}
    run_command(
        "shortlist", run, "--source", files["source"], "--target", files["target"],
        "--size", arguments.size, "--num-frequent", arguments.num_frequent,
        "--candidates", arguments.candidates,
    )  # fmt: skip


def run_command(name, run, *options):
    """Runs a command of the package on a run, and ends the program if it fails."""
    command = [sys.executable, "-m", "keras_transformer", name, "--run", str(run)]
    if subprocess.call([*command, *map(str, options)]):
        raise SystemExit(f"benchmarks.students: the command {name} failed, see above")


def compare(arguments, settings, names):
    """Returns a dict of results for each run and each way to search it, with their name."""
    from keras_transformer import Translator
    from keras_transformer.training import make_bleu

    folder = arguments.data_folder
    texts = {
        "test": [folder / arguments.test_source, folder / arguments.test_target],
        "val": [folder / settings[f"validation_{side}"] for side in SIDES],
    }
    texts = {name: list(map(read_lines, files)) for name, files in texts.items()}
    systems, results = {}, {}
    for name in names:
        for shortlist in (False, True):
            system = Translator.load(run_of(arguments, name), shortlist=shortlist)
            title = f"{name}, shortlist" if shortlist else name
            systems[title] = system
            results[title] = {"parameters": system.model.count_params()}
            for text, (sources, references) in texts.items():
                found = [one.text for one in system.translate(sources, beam_size=arguments.beams)]
                bleu = make_bleu("auto", "", references).corpus_score(found, [references])
                results[title][f"bleu_{text}"] = bleu.score
    seconds = {title: [] for title in systems}
    for _ in range(arguments.repeats):
        for title, system in systems.items():
            start = time.perf_counter()
            system.translate(texts["test"][0], beam_size=arguments.beams)
            seconds[title].append(time.perf_counter() - start)
    for title, values in seconds.items():
        results[title] |= {"seconds": statistics.median(values)} if values else {}
    return results


def print_results(results):
    teacher = next(iter(results.values()))
    lines = []
    for name, one in results.items():
        line = [name, f"{one['parameters']:,}", f"{one['bleu_val']:.2f}", f"{one['bleu_test']:.2f}"]
        if "seconds" in one:
            line += [f"{one['seconds']:.2f}", f"{teacher['seconds'] / one['seconds']:.2f}x"]
        lines.append(line)
    columns = ["model", "weights", "BLEU val", "BLEU test", "seconds", "speed"]
    print_table(columns[: len(lines[0])], lines)


def shape(text):
    """Returns a shape as it was given; raises a ValueError if it is none."""
    encoder, decoder = map(int, text.split("+"))
    if min(encoder, decoder) < 1:
        raise ValueError(text)
    return text


def recipe_option(text):
    """Returns the name and the value of NAME=VALUE; raises a ValueError if it is none."""
    name, _, value = text.partition("=")
    if not (name and value):
        raise ValueError(text)
    try:
        return name, yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ValueError(text) from error


def parse(arguments):
    parser = make_parser("students", __doc__)
    option = parser.add_argument
    option("--output", type=Path, required=True, help="folder for recipes, runs and results")
    option("--data-folder", type=Path, required=True, help="folder of the recipe's texts")
    option("--config", type=Path, default=RECIPE, help="recipe of all models but for their shape")
    option(
        "--shapes", nargs="+", type=shape, default=["4+4", "6+2", "6+1"],
        help="encoder + decoder blocks",
    )  # fmt: skip
    option("--taught", nargs="+", type=shape, help="those of models that a teacher teaches, too")
    option(
        "--student-options", nargs="+", type=recipe_option, default=[], metavar="NAME=VALUE",
        help="options of the recipe for all models but the teacher",
    )  # fmt: skip
    option("--epochs", type=int, default=0, help="epochs instead of those of the recipe")
    option("--beams", type=int, default=4)
    option("--size", type=int, default=256, help="tokens of a shortlist")
    option("--num-frequent", type=int, default=64, help="frequent tokens of a shortlist")
    option("--candidates", type=int, default=32, help="likely translations of each token")
    option("--test-source", default="test_2016_flickr.en.gz")
    option("--test-target", default="test_2016_flickr.de.gz")
    option("--repeats", type=int, default=5, help="turns that are timed; 0 times nothing")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
