"""Rows of one network, machine and amount of extra work together: rates with exact intervals, what was measured."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import naive
import numpy as np
from rows import Row, before

from kdbench.evidence.grids import from_logs
from kdbench.evidence.intervals import Estimate, mean_interval, rate_interval

GATE = "kdbench"
NAIVE: dict[str, str] = {
    "means": f"mean of one process > {naive.MEAN_RATIO:g} x the stored one",
    "medians": f"median of one process > {naive.MEDIAN_RATIO:g} x the stored one",
    "ranks": f"Mann-Whitney on one process's calls, p < {naive.P_VALUE:g}",
}
"""Gate -> how it decides. A stored baseline is the reference's process of the trial before."""


@dataclass(frozen=True)
class Rate:
    """A count out of a total, with the exact 95 % interval of the rate (one-sided where it is 0 or 1)."""

    count: int
    of: int

    @property
    def value(self) -> float:
        return self.count / self.of

    @property
    def interval(self) -> tuple[float, float]:
        return rate_interval(self.count, self.of)


@dataclass(frozen=True)
class Cell:
    """All trials of one kind."""

    network: str
    busy: bool
    meant_percent: int
    measured: Estimate
    """New / reference over the trials' first stages, with the interval over trials."""
    alarms: dict[str, Rate]
    """Gate -> how many rows it calls slower."""
    undecided: int
    confirmed: int
    """How many rows needed the second stage."""
    wall_s: float
    """Seconds that a row takes, on average."""
    process_sd: float
    """Spread of one process's log ratio: its median absolute deviation times 1.4826."""


def cells(rows: Sequence[Row]) -> list[Cell]:
    """A cell for every kind of trial that has rows, ordered by network, machine and work."""
    stored = before(rows)
    kinds = sorted({row.place[:3] for row in rows})
    return [_cell([row for row in rows if row.place[:3] == kind], stored) for kind in kinds]


def _cell(rows: Sequence[Row], stored: dict[tuple[str, bool, int, int], Row]) -> Cell:
    one = rows[0]
    first = [float(np.median(row.process_log_ratios[: row.first_stage_count])) for row in rows]
    ratios = np.concatenate([row.process_log_ratios[: row.first_stage_count] for row in rows])
    return Cell(
        one.network,
        one.busy,
        one.meant_percent,
        measured=from_logs(mean_interval(first)),
        alarms={GATE: _rate(rows, lambda row: row.verdict == "slower"), **_naive(rows, stored)},
        undecided=sum(row.verdict == "cannot tell" for row in rows),
        confirmed=sum(row.confirmed for row in rows),
        wall_s=float(np.mean([row.wall_s for row in rows])),
        process_sd=1.4826 * float(np.median(np.abs(ratios - np.median(ratios)))),
    )


def _naive(rows: Sequence[Row], stored: dict[tuple[str, bool, int, int], Row]) -> dict[str, Rate]:
    later = [row for row in rows if row.place in stored]
    found = {"ranks": _rate(rows, lambda row: row.ranked_slower)}
    if later:
        found["means"] = _rate(later, lambda row: naive.by_means(row.new, stored[row.place].reference))
        found["medians"] = _rate(later, lambda row: naive.by_medians(row.new, stored[row.place].reference))
    return found


def _rate(rows: Sequence[Row], slower: Callable[[Row], bool]) -> Rate:
    return Rate(sum(map(slower, rows)), len(rows))


def together(found: Sequence[Cell], gate: str, meant_percent: int) -> Rate | None:
    """A gate's alarms over all networks and machines; None without a row."""
    rates = [cell.alarms[gate] for cell in found if cell.meant_percent == meant_percent and gate in cell.alarms]
    return Rate(sum(rate.count for rate in rates), sum(rate.of for rate in rates)) if rates else None


def percent_slower(estimate: Estimate) -> tuple[float, float]:
    """An estimated ratio as per cent above 1, and half its interval (0 where there is none)."""
    half = 0.0 if estimate.low is None or estimate.high is None else 50 * (estimate.high - estimate.low)
    return 100 * math.expm1(math.log(estimate.value)), half
