"""Which pairs of a corpus are fit to learn from."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

import numpy as np

from keras_transformer.data.corpora import Corpus, Entry
from keras_transformer.data.deduplication import HashSet, pair_hashes

SHOWN_LINES = 5
Tokenize = Callable[[list[str]], list[list[int]]]


class TokenizedChunk(NamedTuple):
    """Some pairs as ids: row n of `source` is the translation of row n of `target`."""

    source: list[list[int]]
    target: list[list[int]]


@dataclass
class FilterReport:
    """Counts of the lines read, kept and left out, for each reason.

    `str(report)` is a small table.

    Attributes:
        read: Number of lines read.
        kept: Number of pairs kept.
        left_out: Reason to number of lines. A line has one reason, the first that holds.
        first_lines: Reason to the numbers of its first lines, from 1, at most five.

    Example:

    >>> report = FilterReport(read=3, kept=2)
    >>> report.leave_out("too long", [2])
    >>> print(report)
    lines read      3
    pairs kept      2
    too long        1  (line 2)
    """

    read: int = 0
    kept: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    first_lines: dict[str, list[int]] = field(default_factory=dict)

    def leave_out(self, reason: str, lines: Iterable[int]) -> None:
        """Count the lines with these numbers, given in ascending order, as left out."""
        lines = [int(line) for line in lines]
        if not lines:
            return
        self.left_out[reason] = self.left_out.get(reason, 0) + len(lines)
        first = self.first_lines.setdefault(reason, [])
        first.extend(lines[: SHOWN_LINES - len(first)])

    def __str__(self) -> str:
        rows = [("lines read", self.read, ""), ("pairs kept", self.kept, "")]
        rows += [(reason, count, self._where(reason)) for reason, count in self.left_out.items()]
        width = max(14, *(len(name) for name, _, _ in rows))
        digits = len(str(self.read))
        return "\n".join(f"{name:<{width}}  {n:>{digits}}{where}" for name, n, where in rows)

    def _where(self, reason: str) -> str:
        lines = self.first_lines[reason]
        more = ", ..." if self.left_out[reason] > len(lines) else ""
        word = "line" if self.left_out[reason] == 1 else "lines"
        return f"  ({word} {', '.join(map(str, lines))}{more})"


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
        seen = HashSet()
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

    def _readable(self, chunk: list[Entry], seen: HashSet, report: FilterReport) -> list[Entry]:
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

    def _not_seen(self, chunk: list[Entry], seen: HashSet, report: FilterReport) -> list[Entry]:
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
