"""Report of compiled programs: one line per program, and a table of them."""

import dataclasses
import json

from trainers.tpu_check.compiler import Outcome
from trainers.tpu_check.topologies import Topology

GIB = 2**30
HEAD = [
    "| program | chips | rows a chip | tokens of a batch, each side | Gflop a chip | formula "
    "| memory a chip |",
    "|---|---|--:|--:|--:|--:|--:|",
]


@dataclasses.dataclass(frozen=True)
class Line:
    """One program, compiled for one topology.

    Attributes:
        program: Name of the program.
        topology: Name of the topology.
        rows: Rows of the batch per chip.
        expected: Operations per chip by the formula.
        outcome: `Outcome` of the compilation, per chip.
        trial: Whether the program was compiled only in search of the largest batch.
    """

    program: str
    topology: str
    rows: int
    expected: float
    outcome: Outcome
    trial: bool = False

    def __str__(self):
        """Returns the outcome in words."""
        outcome = self.outcome
        if outcome.error:
            return f"does not compile: {outcome.error}"
        return (
            f"compiles in {outcome.seconds:.0f} s; {outcome.flops / 1e9:,.1f} Gflop a chip, "
            f"{outcome.flops / self.expected - 1:+.1%} of the formula's; {self.memory()}"
        )

    def memory(self) -> str:
        """Returns the used and the available memory of a chip."""
        available = Topology(self.topology).hbm
        return f"{self.outcome.memory / GIB:.1f} of {available / GIB:.0f} GiB"

    def as_json(self) -> str:
        """Returns this line as JSON."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Line":
        """Returns the line that `as_json` encoded."""
        fields = json.loads(text)
        return cls(**{**fields, "outcome": Outcome(**fields["outcome"])})


def table(lines: list[Line], length: int) -> str:
    """Formats a Markdown table; of a program's trials, it has only the largest that compiled.

    Args:
        lines: List of `Line`.
        length: Integer. Tokens on each side of a row; 0 leaves their numbers out.
    """
    largest: dict[tuple, Line] = {}
    for line in lines:
        key = line.program, line.topology
        if not line.outcome.error and line.rows >= largest.get(key, line).rows:
            largest[key] = line
    kept = [
        line
        for line in lines
        if not line.trial or line is largest.get((line.program, line.topology))
    ]
    return "\n".join([*HEAD, *(_format_row(line, length) for line in kept)])


def _format_row(line: Line, length: int) -> str:
    tokens = f"{line.rows * length * Topology(line.topology).chips:,}" if length else ""
    cells = [f"{count / 1e9:,.0f}" for count in (line.outcome.flops, line.expected)]
    cells = [line.outcome.error, "", ""] if line.outcome.error else [*cells, line.memory()]
    name = line.program + (", largest found" if line.trial else "")
    return "| " + " | ".join([name, line.topology, str(line.rows), tokens, *cells]) + " |"
