"""Filters of sentence pairs, and a report of the lines that they leave out."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

import numpy as np

from keras_transformer.data.corpora import Corpus, Entry
from keras_transformer.data.deduplication import HashSet, pair_hashes

SHOWN_LINES = 5
Tokenize = Callable[[list[str]], list[list[int]]]


class TokenizedChunk(NamedTuple):
    """A chunk of pairs as token ids: row n of `target` translates row n of `source`."""

    source: list[list[int]]
    target: list[list[int]]


@dataclass
class FilterReport:
    """The numbers of lines read, kept and left out, by reason.

    `str(report)` formats them as a table.

    Attributes:
        read: Number of lines read.
        kept: Number of pairs kept.
        left_out: Maps each reason to a number of lines. A line counts for the first reason that
            applies.
        first_lines: Maps each reason to the numbers, from 1, of its first lines, at most five.
            Empty in the sum of several reports.
        notes: Maps each remark on lines that are pairs to their number.

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
    notes: dict[str, int] = field(default_factory=dict)

    def leave_out(self, reason: str, lines: Iterable[int]) -> None:
        """Counts lines, given by ascending line numbers, as left out for a reason."""
        self._count(self.left_out, reason, lines)

    def note(self, remark: str, lines: Iterable[int]) -> None:
        """Counts lines, given by ascending line numbers, that a remark applies to."""
        self._count(self.notes, remark, lines)

    def _count(self, counts: dict[str, int], reason: str, lines: Iterable[int]) -> None:
        lines = [int(line) for line in lines]
        if not lines:
            return
        counts[reason] = counts.get(reason, 0) + len(lines)
        first = self.first_lines.setdefault(reason, [])
        first.extend(lines[: SHOWN_LINES - len(first)])

    @classmethod
    def sum(cls, reports: Sequence["FilterReport"]) -> "FilterReport":
        """Returns the counts of several corpora together; that of one is returned as it is."""
        if len(reports) == 1:
            return reports[0]
        total = cls(sum(one.read for one in reports), sum(one.kept for one in reports))
        for reason, count in (item for one in reports for item in one.left_out.items()):
            total.left_out[reason] = total.left_out.get(reason, 0) + count
        for remark, count in (item for one in reports for item in one.notes.items()):
            total.notes[remark] = total.notes.get(remark, 0) + count
        return total

    def __str__(self) -> str:
        rows = [("lines read", self.read, ""), ("pairs kept", self.kept, "")]
        rows += [
            (reason, count, self._format_lines(reason, count))
            for reason, count in (self.left_out | self.notes).items()
        ]
        width = max(14, *(len(name) for name, _, _ in rows))
        digits = len(str(self.read))
        return "\n".join(f"{name:<{width}}  {n:>{digits}}{lines}" for name, n, lines in rows)

    def _format_lines(self, reason: str, count: int) -> str:
        lines = self.first_lines.get(reason)
        if lines is None:
            return ""
        more = ", ..." if count > len(lines) else ""
        word = "line" if count == 1 else "lines"
        return f"  ({word} {', '.join(map(str, lines))}{more})"


@dataclass(frozen=True)
class PairFilter:
    """A filter of training pairs that reports the lines it leaves out.

    Pairs with an empty side are always left out: white space only, or text without token ids.

    Args:
        max_length: Maximum number of tokens on a side, including EOS; at least 2.
        max_ratio: Maximum ratio of the token counts of the longer and the shorter side, at least 1.
            `None` allows any ratio.
        drop_duplicates: Boolean. Whether to leave out a pair equal to an earlier one on both sides.
        drop_copies: Boolean. Whether to leave out a pair whose target equals its source.

    Raises:
        ValueError: `max_length` or `max_ratio` is out of range.
    """

    max_length: int = 256
    max_ratio: float | None = None
    drop_duplicates: bool = True
    drop_copies: bool = False

    def __post_init__(self):
        if self.max_length < 2:
            raise ValueError(
                "`max_length` must be at least 2, a token and the end-of-sentence token. "
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
        seen: HashSet | None = None,
    ) -> Iterator[TokenizedChunk]:
        """Yields the ids of the pairs that pass the filter, in the order of the corpus.

        Memory holds one chunk, plus 8 bytes for each pair if `drop_duplicates` is set.

        Args:
            corpus: The corpus.
            tokenize_source: Function from source sentences to their ids.
            tokenize_target: Function from target sentences to their ids.
            report: The report to update with every chunk.
            chunk_size: Number of lines read, and tokenized in one call.
            seen: Hashes of the pairs of earlier corpora, which are duplicates here.
        """
        seen = HashSet() if seen is None else seen
        entries = iter(corpus.entries())
        while chunk := list(islice(entries, chunk_size)):
            report.read += len(chunk)
            for remark in {entry.note: None for entry in chunk if entry.note}:
                report.note(remark, [entry.line for entry in chunk if entry.note == remark])
            chunk = self._filter_text(chunk, seen, report)
            if chunk:
                tokens = TokenizedChunk(
                    tokenize_source([entry.source for entry in chunk]),
                    tokenize_target([entry.target for entry in chunk]),
                )
                lines = np.array([entry.line for entry in chunk])
                kept = self._filter_lengths(tokens, lines, report)
                report.kept += len(kept.source)
                yield kept

    def _filter_text(self, chunk: list[Entry], seen: HashSet, report: FilterReport) -> list[Entry]:
        """Returns the entries with text on both sides, without duplicates and copies."""
        reasons: dict[str, list[int]] = {}
        kept = []
        for entry in chunk:
            if reason := entry.problem or self._text_problem(entry):
                reasons.setdefault(reason, []).append(entry.line)
            else:
                kept.append(entry)
        for reason, lines in reasons.items():
            report.leave_out(reason, lines)
        return self._deduplicate(kept, seen, report) if self.drop_duplicates and kept else kept

    def _text_problem(self, entry: Entry) -> str | None:
        if not entry.source.strip() or not entry.target.strip():
            return "empty side"
        if self.drop_copies and entry.source == entry.target:
            return "copy"
        return None

    def _deduplicate(self, chunk: list[Entry], seen: HashSet, report: FilterReport) -> list[Entry]:
        first_time = seen.add(pair_hashes((entry.source, entry.target) for entry in chunk))
        report.leave_out(
            "duplicate",
            [entry.line for entry, new in zip(chunk, first_time, strict=True) if not new],
        )
        return [entry for entry, new in zip(chunk, first_time, strict=True) if new]

    def _filter_lengths(
        self, tokens: TokenizedChunk, lines: np.ndarray, report: FilterReport
    ) -> TokenizedChunk:
        """Returns the pairs whose numbers of tokens are allowed."""
        lengths = np.array([[len(ids) for ids in side] for side in tokens])  # (2, pairs)
        shorter, longer = lengths.min(axis=0), lengths.max(axis=0)
        rejected = {"empty side": shorter == 0, "too long": longer + 1 > self.max_length}
        if self.max_ratio is not None:
            rejected["length ratio"] = longer > self.max_ratio * shorter
        keep = np.ones(len(lines), bool)
        for reason, mask in rejected.items():
            report.leave_out(reason, lines[keep & mask])
            keep &= ~mask
        kept = np.flatnonzero(keep).tolist()
        return TokenizedChunk(*([side[row] for row in kept] for side in tokens))
