"""What happens at the end of an epoch: BLEU of real translations, checkpoints, speed."""

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import keras

from keras_transformer.io import atomic_write

SUFFIX = ".weights.h5"


def save_checkpoint(model: keras.Model, path: Path) -> None:
    """Saves a model's weights to a file that appears whole or not at all."""
    with atomic_write(path) as writing:
        model.save_weights(writing)


class OneWorker:
    """The only process there is, which is the chief."""

    is_chief = True
    computes_alone = True

    def from_chief(self, value):
        """The chief's number."""
        return value


class BleuCallback(keras.callbacks.Callback):
    """Translates the validation text after an epoch and adds its sacreBLEU to the logs.

    What is scored is what the model writes by itself, as text, with sacreBLEU's defaults: not the
    (much higher) figure for next tokens after the reference's own. The best epoch's weights are
    kept. Put it before callbacks that watch `val_bleu`.

    Args:
        translate: Function from a list of texts to a list of translated texts.
        sources: The texts to translate.
        references: Their translations.
        best_path: Where the weights of the best epoch are kept.
        every: Integer, at least 1. Epochs between two scores; the last epoch always has one.
        patience: Integer. Training ends after so many scores without a better one; 0 never.
        workers: With several processes, what tells which of them this is and gives all of them the
            number that the chief has: `keras_transformer.distribution.Devices`. The chief alone
            writes, and alone translates, unless all are needed to use the weights.

    Attributes:
        best: The highest BLEU so far, and the epoch it was reached in, counted from 1.

    Raises:
        ValueError: `sources` and `references` do not go together, or `every` is less than 1.
        OSError: In training: the weights could not be written.
    """

    def __init__(
        self,
        translate: Callable[[list[str]], list[str]],
        sources: Sequence[str],
        references: Sequence[str],
        best_path: str | Path,
        every: int = 1,
        patience: int = 0,
        workers=None,
    ):
        super().__init__()
        if not 0 < len(sources) == len(references):
            raise ValueError(
                "`references` must have a translation of each of `sources`, at least one. "
                f"Received: {len(references)} references for {len(sources)} sources"
            )
        if every < 1:
            raise ValueError(f"`every` must be at least 1. Received: {every}")
        self.workers = workers or OneWorker()
        self.translate = translate
        self.sources = list(sources)
        self.references = list(references)
        self.best_path = Path(best_path)
        self.every = every
        self.patience = patience
        self.best = (float("-inf"), 0)
        self._not_better = 0

    def state(self) -> dict:
        """What it needs to go on after an interruption, besides the file of the best weights."""
        score, epoch = self.best
        return {"bleu": score, "epoch": epoch, "not_better": self._not_better}

    def restore(self, state: dict) -> None:
        """Goes on from what `state` gave."""
        self.best = (state["bleu"], state["epoch"])
        self._not_better = state["not_better"]

    def score(self) -> float:
        """BLEU of the model as it is now; with several workers, all must ask."""
        scores = self.workers.is_chief or not self.workers.computes_alone
        return self.workers.from_chief(self._score() if scores else 0.0)

    def _score(self):
        import sacrebleu

        translations = self.translate(self.sources)
        return sacrebleu.corpus_bleu(translations, [self.references]).score

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every and epoch + 1 != self.params["epochs"]:
            return
        bleu = self.score()
        if logs is not None:
            logs["val_bleu"] = bleu
        if bleu > self.best[0]:
            self.best = (bleu, epoch + 1)
            self._not_better = 0
            if self.workers.is_chief:
                save_checkpoint(self.model, self.best_path)
            return
        self._not_better += 1
        if self._not_better == self.patience:
            self.model.stop_training = True


class KeepCheckpoints(keras.callbacks.Callback):
    """Saves the weights after every epoch and keeps the newest few, to be averaged.

    An epoch whose loss is not finite leaves none.

    Args:
        folder: Where they are kept, as `epoch-0001.weights.h5` and so on.
        keep: Integer, at least 1. How many.
        write: Boolean. Whether this process writes them; with several workers, one does.

    Raises:
        ValueError: `keep` is less than 1.
        OSError: In training: a file could not be written.
    """

    def __init__(self, folder: str | Path, keep: int = 5, write: bool = True):
        super().__init__()
        if keep < 1:
            raise ValueError(f"`keep` must be at least 1. Received: {keep}")
        self.folder = Path(folder)
        self.keep = keep
        self.write = write
        self._written: list[Path] = []

    def paths(self) -> list[Path]:
        """The checkpoints of this training that are there, oldest first."""
        return list(self._written)

    def state(self) -> dict:
        """What it needs to go on after an interruption, besides the files."""
        return {"names": [path.name for path in self._written]}

    def restore(self, state: dict) -> None:
        """Goes on from what `state` gave."""
        self._written = [self.folder / name for name in state["names"]]

    def on_epoch_end(self, epoch, logs=None):
        if not math.isfinite((logs or {}).get("loss", 0.0)):
            return  # diverged: not worth keeping
        path = self.folder / f"epoch-{epoch + 1:04d}{SUFFIX}"
        if self.write:
            save_checkpoint(self.model, path)
        self._written.append(path)
        while len(self._written) > self.keep:
            old = self._written.pop(0)
            if self.write:
                old.unlink(missing_ok=True)  # gone, if interrupted just after this


class TokenRate(keras.callbacks.Callback):
    """Adds the speed of training to the logs, `tokens_per_second`: real target tokens.

    Padding does not count, nor does the time for validation. The tokens are those that the
    metric called `metric` has counted since `fit` began the epoch.

    Args:
        metric: String. Name of a compiled metric with a `count` of real tokens.

    Attributes:
        tokens: How many were counted so far, in all epochs.
        seconds: How long that took.

    Raises:
        ValueError: In training: the model has no metric of that name.
    """

    def __init__(self, metric: str = "perplexity"):
        super().__init__()
        self.metric = metric
        self.tokens = 0
        self.seconds = 0.0
        self._rate = None

    def on_epoch_begin(self, epoch, logs=None):
        self._tokens_before = _number((self._counts() or [0.0])[0])  # not 0 in a resumed epoch
        self._started = time.perf_counter()
        self._rate = None

    def on_test_begin(self, logs=None):
        self._stop()

    def on_epoch_end(self, epoch, logs=None):
        self._stop()
        if logs is not None:
            logs["tokens_per_second"] = self._rate

    def _stop(self):
        if self._rate is not None:
            return
        counts = self._counts()
        if not counts:
            raise ValueError(
                f"TokenRate reads the tokens that a metric has counted: compile the model with one "
                f"called {self.metric!r}, such as Perplexity(), or name another."
            )
        tokens = _number(counts[0]) - self._tokens_before
        seconds = time.perf_counter() - self._started
        self.tokens += tokens
        self.seconds += seconds
        self._rate = tokens / seconds

    def _counts(self):
        return [metric.count for metric in self._metrics() if metric.name == self.metric]

    def _metrics(self):
        for metric in self.model.metrics:
            yield from getattr(metric, "metrics", [metric])


def _number(variable):
    """A metric's variable, summed over all replicas."""
    return float(keras.ops.convert_to_numpy(variable))
