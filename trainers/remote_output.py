"""Runs whose output is a URL: a local working copy that is sent with every saved state."""

from pathlib import Path

from keras_transformer.io import WorkingCopy
from trainers.recipe import Recipe
from trainers.resume import state_folder
from trainers.tokenizers import FILES as TOKENIZERS

# In the order of sending: weights before the states that belong to them, `run.json` at the end.
SENT = ("recipe.yaml", *TOKENIZERS, "held_out", "logs")
SENT += ("model.weights.h5", "adapter.weights.h5", "shortlist.npz", "checkpoints", "run.json")
FINISHED = "{} holds a finished run. Give another --output, or --overwrite true to replace it."


def working_copy(recipe: Recipe) -> WorkingCopy | None:
    """Returns the working copy of a run whose output is a URL."""
    return None if isinstance(recipe.output, Path) else WorkingCopy(recipe.output, SENT)


def open_copy(recipe: Recipe, copy: WorkingCopy) -> None:
    """Fetches an interrupted run from its URL, if it is to be resumed here.

    Raises:
        ValueError: There is a finished run at the URL, which is not to be replaced.
        RemoteError: The URL cannot be read or written.
    """
    if not recipe.overwrite and "run.json" in copy.files():
        raise ValueError(FINISHED.format(recipe.output))
    copy.remote.check_writable()  # now, not after hours of training
    print(
        f"Working in {copy.folder}. Every saved state is sent to {recipe.output}, which has no "
        "locks: make sure that no other machine trains into it.",
        flush=True,
    )
    if not recipe.overwrite:
        copy.fetch()


def clear_remote(recipe: Recipe) -> None:
    """Deletes the files of an earlier run, if the output is a URL; `run.json` first."""
    if (copy := working_copy(recipe)) is not None:
        copy.clear()


def send_run(recipe: Recipe) -> None:
    """Sends what has changed, if the output is a URL."""
    if (copy := working_copy(recipe)) is not None:
        copy.send()


class SentStates:
    """Folder of a run's states for `SaveState`, which sends the run with each of them.

    Args:
        recipe: `Recipe`.
        output: Run folder, or the working copy of one.
    """

    def __init__(self, recipe: Recipe, output: Path):
        self.recipe = recipe
        self.states = state_folder(output)
        self.folder = self.states.folder

    def write(self, step: int, metadata: dict, arrays: dict) -> Path:
        """Writes a state, as `StateFolder.write`, and sends what has changed since the last."""
        path = self.states.write(step, metadata, arrays)
        send_run(self.recipe)
        return path
