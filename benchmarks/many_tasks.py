"""Trains one model of several tasks with a task and without it: what does it cost the others?

    python -m benchmarks.many_tasks --output runs/tasks

The recipe of `--config`, whose texts are those of the phrasebook, is trained as it is and without
the task `--without`, once for each of the `--seeds`. The steps are as many. The table has the share
of held-out everyday sentences that each task of texts translates exactly, with 4 beams, and the
share of held-out images that are told apart.

Recipes are written to `OUTPUT/NAME.yaml`, runs to `OUTPUT/NAME`. Finished runs are not trained
again, and interrupted ones go on.
"""

import statistics
from pathlib import Path

import yaml

from benchmarks.parser import make_parser
from benchmarks.runs import train_run, write_recipe
from benchmarks.turns import print_table

RECIPE = Path(__file__).parents[1] / "trainers" / "recipes" / "phrasebook_multitask.yaml"
TRAINER = "trainers.multitask"


def main(arguments=None):
    arguments = parse(arguments)
    arguments.output.mkdir(parents=True, exist_ok=True)
    settings = yaml.safe_load(arguments.config.read_text(encoding="utf-8"))
    settings |= {"epochs": arguments.epochs} if arguments.epochs else {}
    left = [task for task in settings["tasks"] if task["name"] != arguments.without]
    if len(left) == len(settings["tasks"]):
        raise SystemExit(f"benchmarks.many_tasks: the recipe has no task {arguments.without}")
    variants = {"all": settings["tasks"], f"without {arguments.without}": left}
    rows = []
    for name, tasks in variants.items():
        of_variant = []
        for seed in arguments.seeds:
            run = arguments.output / f"{name.replace(' ', '_')}_{seed}"
            write_recipe(
                run, yaml.safe_dump(settings | {"tasks": tasks, "seed": seed}, sort_keys=False)
            )
            train_run(run, TRAINER)
            of_variant.append(scores_of(run, arguments.sentences))
            print(f"{name}, seed {seed}: {of_variant[-1]}", flush=True)
            rows.append([name, seed, of_variant[-1]])
        means = {task: statistics.fmean(one[task] for one in of_variant) for task in of_variant[0]}
        rows.append([name, "mean", means])
    tasks = list(rows[0][2])
    lines = [
        [name, str(seed), *(f"{scores[task]:.2%}" if task in scores else "" for task in tasks)]
        for name, seed, scores in rows
    ]
    print_table(["tasks", "seed", *tasks], lines)


def scores_of(run, sentences):
    """Returns the share of right answers of each task of a run, by its name."""
    import keras

    from keras_transformer import Translator
    from keras_transformer.data.phrasebook import phrasebook
    from trainers.multitask_recipe import MultitaskRecipe
    from trainers.task_images import open_images

    settings = yaml.safe_load(Path(f"{run}.yaml").read_text(encoding="utf-8"))
    recipe, translator = MultitaskRecipe(output=run, **settings), Translator.load(run)
    pairs = phrasebook().held_out["everyday"][:sentences]
    scores = {}
    for task in recipe.tasks:
        if task.is_text:
            sources, targets = zip(*pairs, strict=True)
            if task.command == ">>en<<":
                sources, targets = targets, sources
            found = translator.translate([f"{task.command} {text}".lstrip() for text in sources])
            right = [one.text == text for one, text in zip(found, targets, strict=True)]
        else:
            images = open_images(recipe, 1)
            logits = keras.ops.convert_to_numpy(translator.model.classify(images.held_out))
            right = (logits.argmax(-1) == images.held_out_classes).tolist()
        scores[task.name] = statistics.fmean(right)
    return scores


def parse(arguments):
    parser = make_parser("many_tasks", __doc__)
    option = parser.add_argument
    option("--output", type=Path, required=True, help="folder for recipes and runs")
    option("--config", type=Path, default=RECIPE, help="recipe with tasks")
    option("--without", default="digits", help="name of the task that is left out")
    option("--seeds", nargs="+", type=int, default=[0, 1, 2])
    option("--epochs", type=int, default=0, help="epochs instead of those of the recipe")
    option("--sentences", type=int, default=1000, help="held-out sentences to translate")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
