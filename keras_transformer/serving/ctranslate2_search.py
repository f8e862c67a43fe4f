"""Search and scoring with CTranslate2, by the rules of this package."""

import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from keras_transformer.decoding.token_sampling import Sampling
from keras_transformer.serving.ctranslate2_engine import load_engine, run_ahead, workers_for
from keras_transformer.serving.token_batches import token_batches
from keras_transformer.text import TokenizerProtocol
from keras_transformer.translation.generator import GeneratedSequence, Request

NO_EARLY_EXIT = 1e-6  # a length penalty; without one, it ends as soon as the best beam has ended


class CTranslate2Generator:
    """Generator of target sequences with the methods of `SequenceGenerator`, by CTranslate2.

    CTranslate2 normalizes by `n ** length_penalty` while it searches. All of its beams are taken,
    and ranked by the formula of this package.

    Args:
        folder: Folder that `export_ctranslate2` wrote.
        compute_type: CTranslate2's name of the type that it computes in.
        tokenizer: Tokenizer of the source.
        target_tokenizer: Tokenizer of the target.
    """

    def __init__(
        self,
        folder: Path,
        compute_type: str,
        tokenizer: TokenizerProtocol,
        target_tokenizer: TokenizerProtocol,
    ):
        self.folder, self.compute_type = folder, compute_type
        self.tokenizer, self.target_tokenizer = tokenizer, target_tokenizer
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self.max_positions = config["max_positions"]
        self._source_tokens = _vocabulary(tokenizer)
        self._target_tokens = _vocabulary(target_tokenizer)
        self._ids = {token: id for id, token in enumerate(self._target_tokens)}
        self._engines: dict = {}  # by number of workers
        self._lock = threading.Lock()

    def __reduce__(self):
        """Copies and pickles the arguments; CTranslate2 loads the folder anew for the copy."""
        arguments = (self.folder, self.compute_type, self.tokenizer, self.target_tokenizer)
        return type(self), arguments

    def search(
        self,
        requests: list[Request],
        progress: Callable[[int], None] = lambda done: None,
        sampling: Sampling | None = None,
        **settings,
    ) -> list[list[GeneratedSequence]]:
        """Generates hypotheses for each request by beam search, as `SequenceGenerator.search`.

        Raises:
            ValueError: `sampling` is given.
        """
        if sampling is not None:
            refuse("sampling", "--sample")
        results: list[list[GeneratedSequence]] = [[] for _ in requests]
        done = 0
        for batch, sequences in self._search(requests, range(len(requests)), settings):
            for index, found in zip(batch, sequences, strict=True):
                results[index] = found
            done += len(batch)
            progress(done)
        again = self._search_again(requests, results, settings)
        if _has_rules(requests, settings):
            again = range(len(requests))
        self._rescore(requests, results, again, settings["length_penalty"])
        return [_best(sequences, settings["top_beams"]) for sequences in results]

    def _search_again(self, requests, results, settings) -> list[int]:
        """Replaces results that are longer than their own limit, or hold padding.

        A batch has one limit, and CTranslate2 forbids a token only by changing the probabilities of
        all others.

        Returns:
            The indices of the requests that were searched again.
        """
        pad_id = self.target_tokenizer.pad_id
        groups: dict[int, list[int]] = {}
        for index, (request, sequences) in enumerate(zip(requests, results, strict=True)):
            limit = request.max_length
            if any(len(one.ids) > limit or pad_id in one.ids for one in sequences):
                groups.setdefault(limit, []).append(index)
        for indices in groups.values():
            for batch, sequences in self._search(requests, indices, settings, forbid_padding=True):
                for index, found in zip(batch, sequences, strict=True):
                    results[index] = found
        return [index for indices in groups.values() for index in indices]

    def _rescore(self, requests, results, indices, length_penalty) -> None:
        """Replaces the scores of some results by those of the model without any rules.

        CTranslate2 has probabilities of the allowed tokens only, and none of a prefix.
        """
        eos = [self.target_tokenizer.eos_id]
        flat = [(index, one) for index in indices for one in results[index]]
        sources = [requests[index].source for index, _ in flat]
        targets = [one.ids if one.finished else one.ids + eos for _, one in flat]
        rescored: dict[int, list[GeneratedSequence]] = {index: [] for index in indices}
        for (index, one), log_probs in zip(flat, self.log_probs(sources, targets), strict=True):
            log_prob = sum(log_probs[: len(one.ids)])
            rescored[index].append(_scored(one.ids, log_prob, length_penalty, one.finished))
        for index, sequences in rescored.items():
            results[index] = sequences

    def _search(self, requests, indices, settings, forbid_padding=False) -> Iterator:
        """Searches for the requests with these indices, in batches.

        Yields:
            The indices of the requests of a batch, and the hypotheses of each.
        """
        sizes = [(len(requests[index].prefix), len(requests[index].source)) for index in indices]
        batches = [[indices[row] for row in rows] for rows in token_batches(sizes)]
        options = self._options(settings, forbid_padding)
        engine, workers = self._engine(len(batches))

        def submit(batch):
            chosen = [requests[index] for index in batch]
            prefixes = [_tokens(self._target_tokens, one.prefix) for one in chosen]
            return engine.translate_batch(
                [_tokens(self._source_tokens, one.source[:-1]) for one in chosen],
                prefixes if any(prefixes) else None,
                max_decoding_length=max(one.max_length for one in chosen),
                min_decoding_length=max(0, chosen[0].min_length - 1),  # EOS does not count here
                asynchronous=True,
                **options,
            )

        penalties = options["length_penalty"], settings["length_penalty"]
        for batch, results in run_ahead(submit, batches, workers):
            yield batch, [self._sequences(result, *penalties) for result in results]

    def _options(self, settings: dict, forbid_padding: bool) -> dict:
        """Returns the options of CTranslate2's search."""
        penalty = settings["length_penalty"]
        if not penalty and settings["top_beams"] > 1:
            penalty = NO_EARLY_EXIT
        pad_token = self.target_tokenizer.id_to_token(self.target_tokenizer.pad_id)
        return {
            "beam_size": settings["beam_size"],
            "num_hypotheses": settings["beam_size"],
            "length_penalty": penalty,
            "no_repeat_ngram_size": settings["no_repeat_ngram_size"],
            "suppress_sequences": [[pad_token]] if forbid_padding else None,
            "max_input_length": 0,
            "return_scores": True,
            "return_end_token": True,
        }

    def _sequences(self, result, their_penalty, our_penalty) -> list[GeneratedSequence]:
        """Returns all hypotheses of a result, with our scores."""
        eos_id, unk_id = self.target_tokenizer.eos_id, self.target_tokenizer.unk_id
        sequences = []
        for tokens, score in zip(result.hypotheses, result.scores, strict=True):
            ids = [self._ids.get(token, unk_id) for token in tokens]
            log_prob = score * len(ids) ** their_penalty
            sequences.append(_scored(ids, log_prob, our_penalty, ids[-1:] == [eos_id]))
        return sequences

    def log_probs(self, sources: list[list[int]], targets: list[list[int]]) -> list[list[float]]:
        """Returns the log-probability of each token of given targets; all ids include EOS."""
        pairs = zip(sources, targets, strict=True)
        batches = token_batches([(0, max(map(len, pair))) for pair in pairs])
        engine, workers = self._engine(len(batches))

        def submit(batch):
            return engine.score_batch(
                [_tokens(self._source_tokens, sources[index][:-1]) for index in batch],
                [_tokens(self._target_tokens, targets[index][:-1]) for index in batch],
                max_input_length=0,
                asynchronous=True,
            )

        found: list[list[float]] = [[] for _ in targets]
        for batch, results in run_ahead(submit, batches, workers):
            for index, result in zip(batch, results, strict=True):
                found[index] = list(result.log_probs)
        return found

    def load(self) -> None:
        """Loads all engines that any number of batches can need."""
        for batches in (1, os.cpu_count() or 1):
            self._engine(batches)

    def _engine(self, batches: int):
        """Returns a CTranslate2 translator for a number of batches, and its number of workers."""
        workers = workers_for(batches, self.compute_type)
        with self._lock:
            if workers not in self._engines:
                self._engines[workers] = load_engine(self.folder, self.compute_type, workers)
            return self._engines[workers], workers


def _vocabulary(tokenizer: TokenizerProtocol) -> list[str]:
    return [tokenizer.id_to_token(id) for id in range(tokenizer.vocabulary_size())]


def _tokens(vocabulary: list[str], ids: list[int]) -> list[str]:
    return [vocabulary[id] for id in ids]


def _has_rules(requests: list[Request], settings: dict) -> bool:
    """Returns whether some tokens are forbidden or given."""
    return settings["no_repeat_ngram_size"] > 0 or any(
        request.prefix or request.min_length > 1 for request in requests
    )


def _scored(ids: list[int], log_prob: float, length_penalty: float, finished: bool):
    score = log_prob / ((5 + len(ids)) / 6) ** length_penalty
    return GeneratedSequence(ids, log_prob, score, finished)


def _best(sequences: list[GeneratedSequence], top_beams: int) -> list[GeneratedSequence]:
    """Returns the best hypotheses, best first; unfinished ones only if none is finished."""
    finished = [sequence for sequence in sequences if sequence.finished]
    return sorted(finished or sequences, key=lambda one: one.score, reverse=True)[:top_beams]


def refuse(argument: str, option: str = "") -> None:
    """Raises a ValueError that names an argument that CTranslate2 cannot do."""
    option = f" ({option})" if option else ""
    raise ValueError(
        f"The engine ctranslate2 has no `{argument}`{option} as this package has it. Use the "
        "engine keras, or leave it out."
    )
