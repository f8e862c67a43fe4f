"""Runs of a trainer that a benchmark compares, each trained in a separate process.

The recipe of a run `OUTPUT/NAME` is `OUTPUT/NAME.yaml`, its log `OUTPUT/NAME/training.log`.
"""

import subprocess
import sys
from pathlib import Path


def write_recipe(run, text):
    """Writes the recipe of a run beside it, unless there is one that was trained with another."""
    file = Path(f"{run}.yaml")
    if run.exists() and file.is_file() and file.read_text(encoding="utf-8") != text:
        raise SystemExit(
            f"{run} was trained with other settings, those of {file}. Give "
            "another --output, or remove the run."
        )
    file.write_text(text, encoding="utf-8")


def train_run(run, trainer="trainers.translation"):
    """Trains a run by its recipe, unless it is finished; an interrupted one goes on.

    Args:
        run: Path of the run.
        trainer: Module of the trainer.
    """
    log = Path(f"{run}.log")
    if (run / "run.json").is_file():
        print(f"{run.name}: {run} is finished", flush=True)
        if log.is_file():  # the program ended just before it was moved
            log.replace(run / "training.log")
        return
    print(f"{run.name}: training, see {log}", flush=True)
    command = [sys.executable, "-m", trainer, "--config", f"{run}.yaml"]
    with log.open("a", encoding="utf-8") as stream:
        status = subprocess.call(
            [*command, "--output", str(run)], stdout=stream, stderr=subprocess.STDOUT
        )
    if status:
        reason = log.read_text(encoding="utf-8").rstrip().rpartition("\n")[2]
        raise SystemExit(f"{run.name} was not trained, see {log}: {reason}")
    log.replace(run / "training.log")
