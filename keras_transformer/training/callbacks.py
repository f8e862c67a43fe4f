"""Training callbacks: BLEU of the validation text, checkpoints and training speed."""

import itertools
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import keras

from keras_transformer.checkpoints.adapter import adapted_layers, save_adapter
from keras_transformer.io import atomic_write, local_path
from keras_transformer.training.bleu import make_bleu, says_little

SUFFIX = ".weights.h5"


def save_checkpoint(model: keras.Model, path: Path) -> None:
    """Saves the weights of a model, or those of its adapter alone, with an atomic write."""
    if adapted_layers(model):
        save_adapter(model, path)
        return
    with atomic_write(path) as scratch:
        model.save_weights(scratch)


class OneWorker:
    """Single-process stand-in for `Devices`; always the chief."""

    is_chief = True
    computes_alone = True

    def from_chief(self, value):
        """Returns the chief's value, which is `value` itself."""
        return value


class ValidationScores(NamedTuple):
    """BLEU and chrF2 of translations of the validation text, from 0 to 100."""

    bleu: float
    chrf: float


class ScoredPart(NamedTuple):
    """A part of the validation text, with a `sacrebleu.BLEU` for it."""

    name: str
    references: list[str]
    metric: object


WORST = ValidationScores(float("-inf"), float("-inf"))


class BleuCallback(keras.callbacks.Callback):
    """Callback that translates the validation text and logs its scores: `val_bleu`, `val_chrf`.

    The scores are those of complete translations, decoded without the references and compared as
    text by sacreBLEU. They are not the (much higher) scores of next-token predictions under teacher
    forcing. The weights of the best epoch are kept, and of equal epochs those of the last. The best
    epoch is that of the highest BLEU, and of equal BLEU that of the highest chrF2; if the
    references are too short for BLEU, chrF2 alone decides. Place this callback before callbacks
    that monitor `val_bleu`.

    Args:
        translate: Function that maps a list of texts to the list of their translations.
        sources: Source texts of the validation set.
        references: Reference translations of `sources`.
        best_path: Path of the file for the weights of the best epoch.
        every: Integer, at least 1. Number of epochs between scores; the last epoch is always
            scored.
        patience: Integer. Number of consecutive scores without improvement after which training
            stops; 0 disables early stopping.
        workers: `keras_transformer.distribution.Devices`, for training with several processes. Only
            the chief worker writes files and translates, unless the weights cannot be used without
            the other workers; all workers receive its scores.
        metric: A `sacrebleu.BLEU`. `None` chooses its tokenizer by the script of the references,
            for each part.
        parts: Dict of names and numbers of lines, if the validation set consists of several texts,
            one after the other, such as of several languages. `val_bleu` and `val_chrf` are then
            the means of their scores, and `val_bleu_NAME` is the BLEU of each.

    Attributes:
        best: Tuple of the best `ValidationScores` so far and their epoch, counted from 1.
        measure: `"BLEU"`, or `"chrF2"` if the references are too short for BLEU.

    Raises:
        ValueError: `sources` is empty or not as long as `references` or as all `parts`, or `every`
            is less than 1.
        OSError: During training: the weights could not be written.
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
        metric=None,
        parts: dict[str, int] | None = None,
    ):
        super().__init__()
        if not 0 < len(sources) == len(references):
            raise ValueError(
                "`references` must have a translation of each of `sources`, at least one. "
                f"Received: {len(references)} references for {len(sources)} sources"
            )
        parts = parts or {"": len(references)}
        if sum(parts.values()) != len(references):
            raise ValueError(
                f"`parts` must have as many lines as `references`, {len(references)}. "
                f"Received: {parts}"
            )
        if every < 1:
            raise ValueError(f"`every` must be at least 1. Received: {every}")
        self.workers = workers or OneWorker()
        self.translate = translate
        self.sources = list(sources)
        self.references = list(references)
        self.best_path = local_path(best_path, "`best_path`")
        self.every = every
        self.patience = patience
        self.parts = []
        for name, references in zip(parts, _split(self.references, parts.values()), strict=True):
            part = metric or make_bleu(references=references)
            self.parts.append(ScoredPart(name, references, part))
        little = any(says_little(part.metric, part.references) for part in self.parts)
        self.measure = "chrF2" if little else "BLEU"
        self.best = (WORST, 0)
        self._scores_without_improvement = 0

    def state(self) -> dict:
        """Returns the state to save for exact resumption, without the file of the best weights."""
        scores, epoch = self.best
        count = self._scores_without_improvement
        return {**scores._asdict(), "epoch": epoch, "not_better": count}

    def restore(self, state: dict) -> None:
        """Restores the state that `state` returned."""
        scores = ValidationScores(state["bleu"], state.get("chrf", WORST.chrf))
        self.best = (scores, state["epoch"])
        self._scores_without_improvement = state["not_better"]

    def score(self) -> ValidationScores:
        """Returns the scores of the current weights; with several workers, all must call it."""
        return self.scores_of_parts()[0]

    def scores_of_parts(self) -> tuple[ValidationScores, dict[str, ValidationScores]]:
        """Returns the mean scores of the current weights, and those of each part by its name."""
        takes_part = self.workers.is_chief or not self.workers.computes_alone
        scores = self._score() if takes_part else [WORST] * len(self.parts)
        scores = [ValidationScores(*map(self.workers.from_chief, part)) for part in scores]
        mean = ValidationScores(
            *(sum(values) / len(scores) for values in zip(*scores, strict=True))
        )
        names = [part.name for part in self.parts]
        return mean, dict(zip(names, scores, strict=True)) if len(names) > 1 else {}

    def _score(self):
        import sacrebleu

        lengths = [len(part.references) for part in self.parts]
        translations = _split(self.translate(self.sources), lengths)
        return [
            [
                metric.corpus_score(texts, [part.references]).score
                for metric in (part.metric, sacrebleu.CHRF())
            ]
            for texts, part in zip(translations, self.parts, strict=True)
        ]

    def rank(self, scores: ValidationScores) -> tuple[float, float]:
        """Returns a value that orders scores: the greater, the better."""
        return (0.0 if self.measure == "chrF2" else scores.bleu, scores.chrf)

    def describe(self, scores: ValidationScores) -> str:
        """Returns the score that decides, with its name: `"BLEU 41.20"`."""
        score = scores.chrf if self.measure == "chrF2" else scores.bleu
        return f"{self.measure} {score:.2f}"

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every and epoch + 1 != self.params["epochs"]:
            return
        scores, of_parts = self.scores_of_parts()
        if logs is not None:
            logs |= {"val_bleu": scores.bleu, "val_chrf": scores.chrf}
            logs |= {f"val_bleu_{name}": part.bleu for name, part in of_parts.items()}
        rank, best_rank = self.rank(scores), self.rank(self.best[0])
        if rank >= best_rank:
            self.best = (scores, epoch + 1)
            if self.workers.is_chief:
                save_checkpoint(self.model, self.best_path)
        if rank > best_rank:
            self._scores_without_improvement = 0
            return
        self._scores_without_improvement += 1
        if self._scores_without_improvement == self.patience:
            self.model.stop_training = True


def _split(items, lengths) -> list[list]:
    """Splits a list into parts of these lengths."""
    items = iter(items)
    return [list(itertools.islice(items, length)) for length in lengths]


class KeepCheckpoints(keras.callbacks.Callback):
    """Callback that saves the weights after every epoch and keeps the most recent files.

    `average_checkpoints` averages these files. No file is saved after an epoch whose loss is not
    finite.

    Args:
        folder: Folder of the files, `epoch-0001.weights.h5` and so on.
        keep: Integer, at least 1. Number of files to keep.
        write: Boolean. Whether this process writes the files. With several workers, only one of
            them should.

    Raises:
        ValueError: `keep` is less than 1.
        OSError: During training: a file could not be written.
    """

    def __init__(self, folder: str | Path, keep: int = 5, write: bool = True):
        super().__init__()
        if keep < 1:
            raise ValueError(f"`keep` must be at least 1. Received: {keep}")
        self.folder = local_path(folder, "A folder of checkpoints")
        self.keep = keep
        self.write = write
        self._written: list[Path] = []

    def paths(self) -> list[Path]:
        """Returns the paths of the checkpoints kept so far, oldest first."""
        return list(self._written)

    def state(self) -> dict:
        """Returns the state to save for exact resumption, without the files themselves."""
        return {"names": [path.name for path in self._written]}

    def restore(self, state: dict) -> None:
        """Restores the state that `state` returned."""
        self._written = [self.folder / name for name in state["names"]]

    def on_epoch_end(self, epoch, logs=None):
        if not math.isfinite((logs or {}).get("loss", 0.0)):
            return  # training has diverged
        path = self.folder / f"epoch-{epoch + 1:04d}{SUFFIX}"
        if self.write:
            save_checkpoint(self.model, path)
        self._written.append(path)
        while len(self._written) > self.keep:
            oldest = self._written.pop(0)
            if self.write:
                oldest.unlink(missing_ok=True)  # may be gone in a resumed run


class TokenRate(keras.callbacks.Callback):
    """Callback that logs the training speed of an epoch as `tokens_per_second`.

    The speed is the number of real target tokens, without padding, per second of training, without
    validation. A compiled metric counts the tokens.

    Args:
        metric: String. Name of a compiled metric whose variable `count` is the number of real
            tokens, such as `Perplexity`.

    Attributes:
        tokens: Integer. Number of tokens counted so far, over all epochs.
        seconds: Float. Training time so far, over all epochs.

    Raises:
        ValueError: During training: the model has no metric of that name.
    """

    def __init__(self, metric: str = "perplexity"):
        super().__init__()
        self.metric = metric
        self.tokens = 0
        self.seconds = 0.0
        self._rate = None

    def on_epoch_begin(self, epoch, logs=None):
        self._tokens_before = _number((self._counts() or [0.0])[0])  # above 0 in a resumed epoch
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
                "TokenRate reads the token count of a compiled metric, but there is no metric "
                f"called {self.metric!r}. Compile the model with one, such as Perplexity(), or "
                "pass another name as `metric`."
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
    """Returns the value of a metric's variable, summed over all replicas."""
    return float(keras.ops.convert_to_numpy(variable))
