"""Which pairs of a corpus are fit to learn from."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np

from keras_transformer.data.corpora import Corpus, Entry
from keras_transformer.data.filter_report import FilterReport
from keras_transformer.data.seen_hashes import SeenHashes, pair_hashes

Tokenize = Callable[[list[str]], list[list[int]]]


class TokenizedChunk(NamedTuple):
    """Some pairs as ids: row n of `source` is the translation of row n of `target`."""

    source: list[list[int]]
    target: list[list[int]]


@dataclass(frozen=True)
class PairFilter:
    """Leaves out pairs that do not help, and says which and why.

    Empty sides are always left out: white space alone, or text of which no id is left.

    Args:
        max_length: Largest number of tokens of a side with its end-of-sentence token, as the model
            sees it; at least 2.
        max_ratio: Largest ratio of the tokens of the longer side to those of the shorter, at least
            1. `None` allows any.
        drop_duplicates: Leave out a pair that came before, both sides equal.
        drop_copies: Leave out a pair whose target is its source.

    Raises:
        ValueError: `max_length` or `max_ratio` is out of its range.
    """

    max_length: int = 256
    max_ratio: float | None = None
    drop_duplicates: bool = True
    drop_copies: bool = False

    def __post_init__(self):
        if self.max_length < 2:
            raise ValueError(
                "`max_length` must be at least 2, a token and the end of the sentence. "
                f"Received: {self.max_length}"
            )
        if self.max_ratio is not None and self.max_ratio < 1:
            raise ValueError(f"`max_ratio` must be at least 1 or None. Received: {self.max_ratio}")

    def tokenized(
        self,
        corpus: Corpus,
        tokenize_source: Tokenize,
        tokenize_target: Tokenize,
        report: FilterReport,
        chunk_size: int = 100_000,
    ) -> Iterator[TokenizedChunk]:
        """The ids of the pairs that pass, in the order of the corpus.

        Memory holds one chunk, and 8 bytes for each pair if `drop_duplicates`.

        Args:
            corpus: The pairs.
            tokenize_source: Function from source sentences to their ids.
            tokenize_target: Function from target sentences to their ids.
            report: Is filled in as the chunks come.
            chunk_size: How many lines are read, and tokenized in one call.
        """
        seen = SeenHashes()
        entries = iter(corpus.entries())
        while chunk := list(islice(entries, chunk_size)):
            report.read += len(chunk)
            chunk = self._readable(chunk, seen, report)
            if chunk:
                tokens = TokenizedChunk(
                    tokenize_source([entry.source for entry in chunk]),
                    tokenize_target([entry.target for entry in chunk]),
                )
                lines = np.array([entry.line for entry in chunk])
                kept = self._of_fit_length(tokens, lines, report)
                report.kept += len(kept.source)
                yield kept

    def _readable(self, chunk: list[Entry], seen: SeenHashes, report: FilterReport) -> list[Entry]:
        """The entries that hold text on both sides and did not come before."""
        reasons: dict[str, list[int]] = {}
        kept = []
        for entry in chunk:
            if reason := entry.problem or self._reason_in_text(entry):
                reasons.setdefault(reason, []).append(entry.line)
            else:
                kept.append(entry)
        for reason, lines in reasons.items():
            report.leave_out(reason, lines)
        return self._not_seen(kept, seen, report) if self.drop_duplicates and kept else kept

    def _reason_in_text(self, entry: Entry) -> str | None:
        if not entry.source.strip() or not entry.target.strip():
            return "empty side"
        if self.drop_copies and entry.source == entry.target:
            return "copy"
        return None

    def _not_seen(self, chunk: list[Entry], seen: SeenHashes, report: FilterReport) -> list[Entry]:
        first_time = seen.add(pair_hashes((entry.source, entry.target) for entry in chunk))
        report.leave_out(
            "duplicate",
            [entry.line for entry, new in zip(chunk, first_time, strict=True) if not new],
        )
        return [entry for entry, new in zip(chunk, first_time, strict=True) if new]

    def _of_fit_length(
        self, tokens: TokenizedChunk, lines: np.ndarray, report: FilterReport
    ) -> TokenizedChunk:
        lengths = np.array([[len(ids) for ids in side] for side in tokens])  # (2, pairs)
        shorter, longer = lengths.min(axis=0), lengths.max(axis=0)
        unfit = {"empty side": shorter == 0, "too long": longer + 1 > self.max_length}
        if self.max_ratio is not None:
            unfit["length ratio"] = longer > self.max_ratio * shorter
        fit = np.ones(len(lines), bool)
        for reason, mask in unfit.items():
            report.leave_out(reason, lines[fit & mask])
            fit &= ~mask
        kept = np.flatnonzero(fit).tolist()
        return TokenizedChunk(*([side[row] for row in kept] for side in tokens))
