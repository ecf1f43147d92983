"""The result of each trial as a line of JSON, so that a stopped benchmark keeps what is finished."""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from naive import Summary

SAME = 0
"""Per cent of extra work that was meant: the two files differ in bytes only."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One duel of a file with its reference, and what other gates say of its first process."""

    network: str
    busy: bool
    meant_percent: int
    trial: int
    units: int
    """Units of extra work in the new file."""
    verdict: str
    process_log_ratios: tuple[float, ...]
    """Natural logarithms of new / reference, one a process, in order."""
    first_stage_count: int
    """How many of these belong to the first stage."""
    wall_s: float
    new: Summary
    reference: Summary
    ranked_slower: bool
    """Whether Mann and Whitney's test on the calls of the first process calls the new file slower."""
    load_average: float
    neighbour_fraction: float
    """Share of one core that the neighbour has taken since it began; 0 without one."""
    ended_utc: str

    @property
    def place(self) -> tuple[str, bool, int, int]:
        """Which trial it is."""
        return self.network, self.busy, self.meant_percent, self.trial

    @property
    def confirmed(self) -> bool:
        """Whether there was a second stage."""
        return len(self.process_log_ratios) > self.first_stage_count


def read_rows(path: Path) -> list[Row]:
    """The rows of a file, in their order; none where there is no file yet. A last line that was cut off is dropped."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    return [_row(json.loads(line)) for line in lines if line.endswith("\n")]


def append_row(path: Path, row: Row) -> None:
    """Add a row; a line that was cut off before it is taken away first."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if text and not text.endswith("\n"):
        path.write_text(text[: text.rfind("\n") + 1], encoding="utf-8")
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(dataclasses.asdict(row)) + "\n")


def _row(data: dict[str, object]) -> Row:
    summaries = {name: Summary(**data[name]) for name in ("new", "reference")}  # type: ignore[arg-type]
    ratios = tuple(data["process_log_ratios"])  # type: ignore[arg-type]
    return Row(**{**data, **summaries, "process_log_ratios": ratios})  # type: ignore[arg-type]


def before(rows: Sequence[Row]) -> dict[tuple[str, bool, int, int], Row]:
    """Place -> the row that came before it on the same network and machine: whose reference a stored baseline is."""
    found, last = {}, {}
    for row in rows:
        if (row.network, row.busy) in last:
            found[row.place] = last[row.network, row.busy]
        last[row.network, row.busy] = row
    return found
