"""Generation of target sequences with compiled searches, in batches of a few shapes."""

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
    FEW,
    LENGTHS,
    MANY,
    PLAIN_BATCH,
    SLOTS,
    decode_lengths,
    make_batches,
    pad_rows,
    padded_length,
)
from keras_transformer.translation.compilation import compiled
from keras_transformer.translation.preparation import Program
from keras_transformer.translation.scoring import score_targets, target_attention

WORKERS = min(2, os.cpu_count() or 1)  # parallel batches: one alone leaves CPU cores idle


@dataclasses.dataclass(frozen=True)
class Request:
    """A source sentence to translate, or a prompt to continue.

    Attributes:
        source: Ids of the sentence, EOS included; or of the prompt, BOS included.
        max_length: Maximum number of tokens of the result, EOS included.
        min_length: Minimum number of tokens of the result, EOS included.
        prefix: Ids that the result must start with.
        seed: Seed of the random numbers, for sampling.
    """

    source: list[int]
    max_length: int
    min_length: int = 0
    prefix: list[int] = dataclasses.field(default_factory=list)
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class GeneratedSequence:
    """One hypothesis of a search.

    Attributes:
        ids: Ids of the hypothesis, EOS included.
        log_prob: Sum of the log-probabilities of the ids.
        score: Log-probability divided by the length penalty.
        finished: Whether the hypothesis ends with EOS.
    """

    ids: list[int]
    log_prob: float
    score: float
    finished: bool


class SequenceGenerator:
    """Generator of target sequences: runs compiled searches on batches of static shapes.

    Args:
        model: A built `Transformer` or `LanguageModel`.
        bos_id: The beginning-of-sentence id of the target.
        eos_id: The end-of-sentence id of the target.
        shortlist: `Shortlist` of the searches. `None` means all ids.
    """

    def __init__(self, model, bos_id: int, eos_id: int, shortlist=None):
        self.model, self.bos_id, self.eos_id = model, bos_id, eos_id
        self.shortlist = shortlist
        special_ids = {"bos_id": bos_id, "eos_id": eos_id}
        self._search = compiled(
            functools.partial(generate_all, model, shortlist=shortlist, **special_ids), model
        )
        self._sample = compiled(functools.partial(_generate_samples, model, **special_ids), model)
        self._log_probs = compiled(functools.partial(score_targets, model, bos_id=bos_id), model)
        self._attention = compiled(functools.partial(target_attention, model, bos_id=bos_id), model)

    @property
    def max_positions(self) -> int | None:
        """The number of learned positions; `None` if positions are unlimited."""
        return self.model.max_positions

    @property
    def workers(self) -> int:
        """The number of batches that are searched at the same time."""
        return WORKERS if _on_cpu() else 1  # a single batch keeps an accelerator busy

    def __reduce__(self):
        """Copies and pickles the model and the ids; functions are compiled anew for the copy."""
        return type(self), (self.model, self.bos_id, self.eos_id, self.shortlist)

    def decode_lengths(self, length: int, max_length: int) -> list[int]:
        """Returns the decode lengths to try, ascending, for sources of a padded length."""
        return decode_lengths(length, max_length)

    def search(
        self,
        requests: list[Request],
        progress: Callable[[int], None] = lambda done: None,
        sampling: Sampling | None = None,
        **settings,
    ) -> list[list[GeneratedSequence]]:
        """Generates hypotheses for each request, by beam search or sampling.

        Args:
            requests: Source sentences to translate.
            progress: Function that is called after each batch, with the number of requests that
                have a result.
            sampling: Sampling options. `None` means beam search.
            **settings: `beam_size`, `top_beams`, `length_penalty` and `no_repeat_ngram_size` of
                `beam_search`.

        Returns:
            A list of hypotheses for each request, best first.
        """
        results: list[list[GeneratedSequence] | None] = [None] * len(requests)
        # First with the usual decode length; then, if that was too short, with the full one.
        for attempt in (0, -1):
            pending = [index for index, result in enumerate(results) if result is None]
            batches = self._run_batches(requests, pending, attempt, sampling, settings)
            for indices, batch_results in batches:
                for index, result in zip(indices, batch_results, strict=True):
                    results[index] = result
                progress(len(results) - results.count(None))
        return results

    def _run_batches(self, requests, pending, attempt, sampling, settings) -> Iterator:
        """Groups the pending requests into batches, and runs several batches in parallel.

        Yields:
            The indices of the requests of a batch, and the results of these requests.
        """
        lengths = [len(requests[index].source) for index in pending]
        limit = PLAIN_BATCH if sampling else None
        many = len(requests) >= MANY and len(pending) > FEW
        shapes = make_batches(lengths, limit, self.workers, many)

        def run(shape):
            size, length, rows = shape
            length = self._within_positions(length)
            batch = [requests[pending[row]] for row in rows]
            max_length = max(request.max_length for request in batch)
            sizes = self.decode_lengths(length, max_length)
            if sampling:
                max_decode_len = next(size for size in sizes if size >= max_length)
                return self._run_sampling(batch, size, length, max_decode_len, sampling, settings)
            return self._run_search(batch, size, length, sizes[attempt], settings)

        with contextlib.ExitStack() as stack:
            map_batches = map
            # Starting a thread takes a sixth of the time of a short sentence.
            if len(shapes) > 1:
                workers = stack.enter_context(ThreadPoolExecutor(WORKERS))
                stack.callback(workers.shutdown, cancel_futures=True)  # after Ctrl-C, at once
                map_batches = workers.map
            for (_, _, rows), results in zip(shapes, map_batches(run, shapes), strict=True):
                yield [pending[row] for row in rows], results

    def _within_positions(self, length: int) -> int:
        """Returns a padded length, or the number of learned positions if that is less."""
        limit = self.max_positions
        return length if limit is None else min(length, limit)

    def _run_search(self, batch, size, length, max_decode_len, settings):
        hypotheses, complete = self._search(
            *self._to_arrays(batch, size, length),
            length=max_decode_len,
            slots=min(size, SLOTS),
            **settings,
        )
        return self._to_lists(hypotheses, np.asarray(complete)[: len(batch)])

    def _run_sampling(self, batch, size, length, max_decode_len, sampling, settings):
        seeds = np.zeros((size,), "int32")
        seeds[: len(batch)] = [request.seed for request in batch]
        hypotheses = self._sample(
            *self._to_arrays(batch, size, length),
            seeds,
            length=max_decode_len,
            beam_size=settings["top_beams"],
            length_penalty=settings["length_penalty"],
            no_repeat_ngram_size=settings["no_repeat_ngram_size"],
            temperature=sampling.temperature,
            top_k=sampling.top_k,
            top_p=sampling.top_p,
        )
        return self._to_lists(hypotheses, np.ones((len(batch),), bool))

    def _to_arrays(self, batch: list[Request], size: int, length: int):
        """Collates requests to source ids, maximum and minimum lengths, and prefixes.

        Rows that fill up the batch are padding, with a maximum length of 0.
        """
        pad_id = self.model.pad_id
        limits = np.zeros((2, size), "int32")
        limits[0, : len(batch)] = [request.max_length for request in batch]
        limits[1, : len(batch)] = [request.min_length for request in batch]
        longest = max(len(request.prefix) for request in batch)
        prefix_length = padded_length(longest, LENGTHS) if longest else 0
        return (
            pad_rows([request.source for request in batch], (size, length), pad_id),
            *limits,
            pad_rows([request.prefix for request in batch], (size, prefix_length), pad_id),
        )

    def _to_lists(self, hypotheses, complete: np.ndarray) -> list[list[GeneratedSequence] | None]:
        """Converts hypotheses to a list for each sentence; `None` if its search is incomplete."""
        ids, log_probs, scores, finished = map(np.asarray, hypotheses)
        lengths = (ids != self.model.pad_id).sum(-1)
        results: list[list[GeneratedSequence] | None] = []
        for row, is_complete in enumerate(complete):
            sequences = [
                GeneratedSequence(
                    ids[row, n, : lengths[row, n]].tolist(),
                    float(log_probs[row, n]),
                    float(scores[row, n]),
                    bool(finished[row, n]),
                )
                for n in np.flatnonzero(scores[row] > -np.inf)
            ]
            results.append(sequences if is_complete else None)
        return results

    def log_probs(self, sources: list[list[int]], targets: list[list[int]]) -> list[list[float]]:
        """Returns the log-probability of each token of given targets; all ids include EOS."""
        rows = self.run_on_pairs(self._log_probs, sources, targets)
        return [row[: len(target)].tolist() for row, target in zip(rows, targets, strict=True)]

    def attention(self, sources: list[list[int]], targets: list[list[int]]) -> list[np.ndarray]:
        """Returns the cross-attention scores of given targets, `(layers, heads, T, S)` each."""
        rows = self.run_on_pairs(self._attention, sources, targets)
        return [
            scores[:, :, : len(target), : len(source)]
            for scores, source, target in zip(rows, sources, targets, strict=True)
        ]

    def compile(self, program: Program, settings: dict) -> None:
        """Compiles a program, by running it on a batch of one empty sentence.

        Args:
            program: The program.
            settings: Those of `search`, for a search.
        """
        empty = [self.eos_id]
        if program.kind == "search":
            request = Request(empty, max_length=1)
            self._run_search(
                [request], program.size, program.length, program.decode_length, settings
            )
            return
        rows = pad_rows([empty], (program.size, program.length), self.model.pad_id)
        np.asarray(
            {"attention": self._attention, "log_probs": self._log_probs}[program.kind](rows, rows)
        )

    def run_on_pairs(self, function, sources, targets) -> list[np.ndarray]:
        """Runs a function of sources and targets in batches of static shapes.

        Returns:
            A row of the results for each pair.
        """
        lengths = [max(map(len, pair)) for pair in zip(sources, targets, strict=True)]
        results: list[np.ndarray | None] = [None] * len(lengths)
        for size, length, indices in make_batches(lengths, PLAIN_BATCH, many=len(lengths) >= MANY):
            length = self._within_positions(length)
            sides = [
                pad_rows([side[index] for index in indices], (size, length), self.model.pad_id)
                for side in (sources, targets)
            ]
            rows = np.asarray(function(*sides))
            for index, row in zip(indices, rows, strict=False):
                results[index] = row
        return results


class ContinuationGenerator(SequenceGenerator):
    """A `SequenceGenerator` of a language model: results are not longer for longer prompts."""

    def decode_lengths(self, length: int, max_length: int) -> list[int]:
        return [padded_length(max_length, (32,))]


def _on_cpu() -> bool:
    return all(device.startswith("cpu") for device in keras.distribution.list_devices())


def _generate_samples(model, source, max_lengths, min_lengths, prefix, seeds, **options):
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
