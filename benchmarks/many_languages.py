"""Translates to several languages with one model, beside a model for each of them.

    python -m benchmarks.many_languages --data-folder data/multi30k --output runs/many

The recipe of `--config` trains one model on the texts of all its languages. For each language, the
same recipe trains a model of its own, of the same size and for as many steps, on that text alone.
All of this is done once for each of the `--seeds`. Each model then translates the test text
(`--test-source`, and `--test-target` with the code of the language for LANGUAGE) with 4 beams.

The table has the BLEU of each language and seed, and the means. Recipes are written to
`OUTPUT/NAME.yaml`, runs to `OUTPUT/NAME`, results to `OUTPUT/NAME.LANGUAGE.json`. Finished runs are
not trained again, and interrupted ones go on.
"""

import json
import statistics
import subprocess
import sys
from pathlib import Path

import yaml

from benchmarks.parser import make_parser
from benchmarks.runs import train_run, write_recipe
from benchmarks.turns import print_table

RECIPE = Path(__file__).parents[1] / "trainers" / "recipes" / "multi30k_en_to_many.yaml"
TOGETHER = "together"
LISTS = ("train_source", "train_target", "train_tag")
LISTS += tuple(name.replace("train", "validation") for name in LISTS)


def main(arguments=None):
    arguments = parse(arguments)
    arguments.output.mkdir(parents=True, exist_ok=True)
    settings = yaml.safe_load(arguments.config.read_text(encoding="utf-8"))
    settings["data_folder"] = str(arguments.data_folder.resolve())
    settings |= {"epochs": arguments.epochs} if arguments.epochs else {}
    settings["bleu_every"] = settings["epochs"]  # nobody watches
    languages = settings["train_tag"]
    rows = []
    for seed in arguments.seeds:
        together = train(arguments.output / f"{TOGETHER}_{seed}", settings | {"seed": seed})
        for number, language in enumerate(languages):
            own = {name: settings[name][number] for name in LISTS}
            steps = yaml.safe_load((together / "recipe.yaml").read_text(encoding="utf-8"))
            own |= {name: steps[name] for name in ("epochs", "steps_per_epoch")} | {"seed": seed}
            alone = train(arguments.output / f"{language}_{seed}", settings | own)
            scores = [bleu(arguments, run, language) for run in (together, alone)]
            rows.append([language, seed, *scores])
            print(f"{language}, seed {seed}: together {scores[0]:.2f}, alone {scores[1]:.2f}")
    for language in languages:
        columns = zip(*[row[2:] for row in rows if row[0] == language], strict=True)
        rows.append([language, "mean", *map(statistics.fmean, columns)])
    lines = [[one, str(seed), *(f"{score:.2f}" for score in scores)] for one, seed, *scores in rows]
    print_table(["language", "seed", TOGETHER, "alone"], lines)


def train(run, settings):
    """Trains a run with these settings, unless it is finished; returns it."""
    write_recipe(run, yaml.safe_dump(settings, sort_keys=False))
    train_run(run)
    return run


def bleu(arguments, run, language):
    """Returns the BLEU of a run on the test text of a language."""
    results = Path(f"{run}.{language}.json")
    if not results.is_file():
        target = arguments.test_target.replace("LANGUAGE", language)
        command = [sys.executable, "-m", "keras_transformer", "evaluate", "--run", str(run)]
        command += ["--source", str(arguments.data_folder / arguments.test_source)]
        command += ["--reference", str(arguments.data_folder / target)]
        command += ["--tag", language, "--json", str(results)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stderr.rstrip().rpartition("\n")[2])
    systems = json.loads(results.read_text(encoding="utf-8"))["systems"]
    return systems[0]["metrics"]["BLEU"]["score"]


def parse(arguments):
    parser = make_parser("many_languages", __doc__)
    option = parser.add_argument
    option("--output", type=Path, required=True, help="folder for recipes, runs and results")
    option("--data-folder", type=Path, required=True, help="folder of the recipe's texts")
    option("--config", type=Path, default=RECIPE, help="recipe with tags")
    option("--seeds", nargs="+", type=int, default=[1, 2, 3])
    option("--epochs", type=int, default=0, help="epochs instead of those of the recipe")
    option("--test-source", default="test_2016_flickr.en.gz")
    option("--test-target", default="test_2016_flickr.LANGUAGE.gz")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
