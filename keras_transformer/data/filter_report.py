"""What became of the lines of a corpus: how many were kept, and why the others were not."""

from collections.abc import Iterable
from dataclasses import dataclass, field

SHOWN_LINES = 5


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
