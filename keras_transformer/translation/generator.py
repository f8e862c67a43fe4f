"""Many sentences of ids through one compiled search, in few shapes."""

import contextlib
import dataclasses
import functools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np

from keras_transformer.decoding.generate import generate, generate_all
from keras_transformer.decoding.sampling import sample
from keras_transformer.decoding.token_sampling import Sampling
from keras_transformer.translation.batch_shapes import (
    LENGTHS,
    SLOTS,
    decode_lengths,
    make_batches,
    padded,
    padded_length,
)
from keras_transformer.translation.compilation import compiled
from keras_transformer.translation.scoring import score_targets, target_attention

WORKERS = min(2, os.cpu_count() or 1)  # batches at a time: one alone leaves a processor idle
SAMPLED = 32  # sentences in a batch of samples, or of given targets


@dataclasses.dataclass(frozen=True)
class Request:
    """One sentence to translate.

    Attributes:
        source: Its ids, EOS included.
        max_length: The most tokens of its translation, EOS included.
        min_length: The fewest.
        prefix: Ids that its translation must start with.
        seed: Where its random numbers start, for sampling.
    """

    source: list[int]
    max_length: int
    min_length: int = 0
    prefix: list[int] = dataclasses.field(default_factory=list)
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class GeneratedSequence:
    """One hypothesis: its ids, EOS included, and what a search says of it."""

    ids: list[int]
    log_prob: float
    score: float
    finished: bool


class SequenceGenerator:
    """Runs searches on batches of static shape, each shape compiled once.

    Args:
        model: A built `Transformer`.
        bos_id: Integer. The target's first token.
        eos_id: Integer. The target's last token.
    """

    def __init__(self, model, bos_id: int, eos_id: int):
        self.model = model
        ends = {"bos_id": bos_id, "eos_id": eos_id}
        self._search = compiled(functools.partial(generate_all, model, **ends), model)
        self._sample = compiled(functools.partial(_draw, model, **ends), model)
        self._log_probs = compiled(functools.partial(score_targets, model, bos_id=bos_id), model)
        self._attention = compiled(functools.partial(target_attention, model, bos_id=bos_id), model)

    def search(
        self,
        requests: list[Request],
        progress: Callable[[int], None] = lambda done: None,
        sampling: Sampling | None = None,
        **settings,
    ) -> list[list[GeneratedSequence]]:
        """What is found for each request, best first.

        Args:
            requests: What to translate.
            progress: Called with how many requests are answered.
            sampling: How to draw at random; `None` means beam search.
            **settings: `beam_size`, `top_beams`, `length_penalty` and `no_repeat_ngram_size` of
                `beam_search`.
        """
        results: list[list[GeneratedSequence] | None] = [None] * len(requests)
        for attempt in (0, -1):  # with the usual room, then those that need more with all of it
            waiting = [place for place, result in enumerate(results) if result is None]
            for places, found in self._batches(requests, waiting, attempt, sampling, settings):
                for place, result in zip(places, found, strict=True):
                    results[place] = result
                progress(len(results) - results.count(None))
        return results

    def _batches(self, requests, waiting, attempt, sampling, settings) -> Iterator:
        """Batches of requests, a few at a time: their places and what was found for each."""
        lengths = [len(requests[place].source) for place in waiting]
        parts = WORKERS if _on_processors() else 1  # an accelerator is filled by one batch
        shapes = make_batches(lengths, SAMPLED if sampling else None, parts)

        def run(shape):
            size, length, rows = shape
            batch = [requests[waiting[row]] for row in rows]
            most = max(request.max_length for request in batch)
            sizes = decode_lengths(length, most)
            if sampling:
                max_decode_len = next(size for size in sizes if size >= most)
                return self._run_sampling(batch, size, length, max_decode_len, sampling, settings)
            return self._run_search(batch, size, length, sizes[attempt], settings)

        with contextlib.ExitStack() as stack:
            in_turn = map
            if len(shapes) > 1:  # to start a thread takes a sixth of the time of a short sentence
                in_turn = stack.enter_context(ThreadPoolExecutor(WORKERS)).map
            for (_, _, rows), found in zip(shapes, in_turn(run, shapes), strict=True):
                yield [waiting[row] for row in rows], found

    def _run_search(self, batch, size, length, max_decode_len, settings):
        found, complete = self._search(
            *self._arrays(batch, size, length),
            length=max_decode_len,
            slots=min(size, SLOTS),
            **settings,
        )
        return self._as_lists(found, np.asarray(complete)[: len(batch)])

    def _run_sampling(self, batch, size, length, max_decode_len, sampling, settings):
        seeds = np.zeros((size,), "int32")
        seeds[: len(batch)] = [request.seed for request in batch]
        found = self._sample(
            *self._arrays(batch, size, length),
            seeds,
            length=max_decode_len,
            beam_size=settings["top_beams"],
            length_penalty=settings["length_penalty"],
            no_repeat_ngram_size=settings["no_repeat_ngram_size"],
            temperature=sampling.temperature,
            top_k=sampling.top_k,
            top_p=sampling.top_p,
        )
        return self._as_lists(found, np.ones((len(batch),), bool))

    def _arrays(self, batch: list[Request], size: int, length: int):
        """Source, limits and prefix of a batch; nothing is asked of rows that fill it up."""
        pad_id = self.model.pad_id
        limits = np.zeros((2, size), "int32")
        limits[0, : len(batch)] = [request.max_length for request in batch]
        limits[1, : len(batch)] = [request.min_length for request in batch]
        longest = max(len(request.prefix) for request in batch)
        prefix_length = padded_length(longest, LENGTHS) if longest else 0
        return (
            padded([request.source for request in batch], (size, length), pad_id),
            *limits,
            padded([request.prefix for request in batch], (size, prefix_length), pad_id),
        )

    def _as_lists(self, found, complete: np.ndarray) -> list[list[GeneratedSequence] | None]:
        """Hypotheses that exist, a list a sentence; `None` where a search had too little room."""
        ids, log_probs, scores, finished = map(np.asarray, found)
        lengths = (ids != self.model.pad_id).sum(-1)
        results: list[list[GeneratedSequence] | None] = []
        for row, is_complete in enumerate(complete):
            kept = [
                GeneratedSequence(
                    ids[row, n, : lengths[row, n]].tolist(),
                    float(log_probs[row, n]),
                    float(scores[row, n]),
                    bool(finished[row, n]),
                )
                for n in np.flatnonzero(scores[row] > -np.inf)
            ]
            results.append(kept if is_complete else None)
        return results

    def log_probs(self, sources: list[list[int]], targets: list[list[int]]) -> list[list[float]]:
        """Log-probabilities of the tokens of given targets; all ids with EOS."""
        found = self._forced(self._log_probs, sources, targets)
        return [row[: len(target)].tolist() for row, target in zip(found, targets, strict=True)]

    def attention(self, sources: list[list[int]], targets: list[list[int]]) -> list[np.ndarray]:
        """Attention of given targets to their sources, `(layers, heads, T, S)` each."""
        found = self._forced(self._attention, sources, targets)
        return [
            scores[:, :, : len(target), : len(source)]
            for scores, source, target in zip(found, sources, targets, strict=True)
        ]

    def _forced(self, function, sources, targets) -> list[np.ndarray]:
        """A function of sources and targets, in batches of static shape."""
        longer = [max(map(len, pair)) for pair in zip(sources, targets, strict=True)]
        results: list[np.ndarray | None] = [None] * len(longer)
        for size, length, places in make_batches(longer, SAMPLED):
            if self.model.positions == "learned":
                length = min(length, self.model.max_length)
            sides = [
                padded([side[place] for place in places], (size, length), self.model.pad_id)
                for side in (sources, targets)
            ]
            found = np.asarray(function(*sides))
            for place, row in zip(places, found, strict=False):
                results[place] = row
        return results


def _on_processors() -> bool:
    return all(device.startswith("cpu") for device in keras.distribution.list_devices())


def _draw(model, source, max_lengths, min_lengths, prefix, seeds, **options):
    return generate(
        model,
        source,
        max_lengths,
        search=sample,
        min_lengths=min_lengths,
        prefix=prefix,
        seeds=seeds,
        **options,
    )
