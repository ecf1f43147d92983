"""The benchmark's report: README.md with the table, the same as CSV, and the figure."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import picture
from busy import BURST_S, TABLE_BYTES
from cells import GATE, NAIVE, Cell, Rate, cells, percent_slower, together
from rows import SAME, Row

from kdbench import units
from kdbench.timing.duel import USUAL
from kdbench.timing.verdict_rule import Rule

PAGE = """# What the gate calls slower, and what it lets pass

Written by `python tests/studies/gate -o FOLDER` ({period}; {machine}). {row_count:,} rows. A row is one file against
its reference, one thread, batch 1, tolerance 1.03, under the whole rule of `kdbench check`
(`kdbench/timing/verdict_rule.py`): {first} processes, and {fresh} fresh ones that decide where those leave a doubt;
each loads both files {loads} times. `rows.jsonl` holds every row.

{goals}

{table}

Extra work is real: pairs of 1x1 convolutions in the middle of the network, so many that they cost about the per cent
meant when the benchmark began. What they cost is measured: the median over the processes of each row's first stage,
mean and 95 % interval over rows. The equal file differs from its reference in its doc string only. Rates are counts
with their exact 95 % interval (Clopper and Pearson; one-sided where it is none or all). Spread: of one process's
ratio, robust sd. Second stage: rows that needed it.

Busy: a process of this benchmark computes for {shortest:g} to {longest:g} ms, in {table_mib} MiB of memory, and rests
as long, by turns; it took {share} of one core. Quiet: without it. Nothing keeps others off the machine: its load was
{load} (one minute, before a row: 10th to 90th percentile).

## Other gates on the same calls

Per cent of rows called slower, from the first process alone. A stored mean or median is that of the reference in the
row before; Mann-Whitney compares calls of the same process, which is kinder than a stored baseline.

{naive}

![Rows called slower]({figure})
"""
GOALS = (
    (SAME, "False alarms: {said}; the goal is below 0.5 %."),
    (3, "Slow-downs of about 3 % seen: {said}; the goal is above 95 %."),
    (5, "About 5 %: {said}."),
    (10, "About 10 %: {said}."),
)
HEAD = (
    *("network", "machine", "slower by", "rows", "called slower", "95 %"),
    *("cannot tell", "second stage", "s a row", "spread of a process"),
)


def write_report(rows: Sequence[Row], machine: dict[str, Any], out: Path) -> str:
    """Write README.md, table.csv and the figure; the goals' lines."""
    found = cells(rows)
    (out / "README.md").write_text(_page(rows, found, machine), encoding="utf-8")
    (out / "table.csv").write_text(_csv(found), encoding="utf-8")
    picture.draw(found, out)
    return _goals(found)


def _page(rows: Sequence[Row], found: Sequence[Cell], machine: dict[str, Any]) -> str:
    rule = Rule()
    busy = [row.neighbour_fraction for row in rows if row.busy]
    loads = sorted(row.load_average for row in rows)
    ends = sorted(row.ended_utc for row in rows)
    short, long = BURST_S
    return PAGE.format(
        period=units.period(ends[0], ends[-1]),
        machine=_machine(machine),
        row_count=len(rows),
        first=rule.first,
        fresh=rule.fresh,
        loads=USUAL.loads,
        goals=_goals(found),
        table=_table(HEAD, [_line(cell) for cell in found]),
        shortest=1e3 * short,
        longest=1e3 * long,
        table_mib=TABLE_BYTES // 2**20,
        share=f"{units.percent(sum(busy) / len(busy), 0)} %" if busy else "none",
        load=f"{loads[len(loads) // 10]:.1f} to {loads[9 * len(loads) // 10]:.1f}",
        naive=_table(("network", "machine", "slower by", GATE, *NAIVE.values()), [_others(cell) for cell in found]),
        figure=picture.NAME + ".svg",
    )


def _goals(found: Sequence[Cell]) -> str:
    said = {percent: together(found, GATE, percent) for percent, _ in GOALS}
    return "  \n".join(form.format(said=_rate(rate)) for percent, form in GOALS if (rate := said[percent]))


def _rate(rate: Rate) -> str:
    return f"{rate.count} of {rate.of}, {_percent(rate.value)} ({_interval(rate)})"


def _interval(rate: Rate) -> str:
    low, high = rate.interval
    if low == 0:
        return f"below {_percent(high)}"
    return f"above {_percent(low)}" if high == 1 else f"{_percent(low)} to {_percent(high)}"


def _percent(rate: float) -> str:
    return f"{units.percent(rate, 0 if rate in (0, 1) else 1 if rate >= 0.01 else 2)} %"


def _line(cell: Cell) -> list[str]:
    alarms = cell.alarms[GATE]
    return [
        *_named(cell),
        str(alarms.of),
        f"{alarms.count} ({_percent(alarms.value)})",
        _interval(alarms),
        str(cell.undecided),
        str(cell.confirmed),
        f"{cell.wall_s:.1f}",
        f"{100 * cell.process_sd:.2f} %",
    ]


def _named(cell: Cell) -> list[str]:
    value, half = percent_slower(cell.measured)
    slower = f"{units.number(value, 2)} ± {half:.2f} %" if half else f"{units.number(value, 2)} %"
    return [cell.network, "busy" if cell.busy else "quiet", slower]


def _others(cell: Cell) -> list[str]:
    rates = [cell.alarms.get(name) for name in (GATE, *NAIVE)]
    return [*_named(cell), *(f"{100 * rate.value:.1f}" if rate else units.MISSING for rate in rates)]


def _machine(machine: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    return f"{machine['cpu']}, {machine['logical_core_count']} logical cores, {machine['system']}; {versions}"


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Markdown, numbers to the right."""
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, ["---:"] * len(head), *lines))


def _csv(found: Sequence[Cell]) -> str:
    gates = (GATE, *NAIVE)
    named = ["network", "busy", "meant_percent", "measured_percent", "measured_half_percent", "row_count"]
    counts = ["slower_fraction_low", "slower_fraction_high", "cannot_tell_count", "second_stage_count"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*named, *(f"{gate}_slower_fraction" for gate in gates), *counts, "wall_s", "process_log_ratio_sd"])
    for cell in found:
        rates = [cell.alarms.get(gate) for gate in gates]
        measured = [round(number, 3) for number in percent_slower(cell.measured)]
        shares = [round(rate.value, 5) if rate else "" for rate in rates]
        bounds = [round(bound, 5) for bound in cell.alarms[GATE].interval]
        numbers = [cell.undecided, cell.confirmed, round(cell.wall_s, 2), round(cell.process_sd, 5)]
        first = [cell.network, cell.busy, cell.meant_percent, *measured, cell.alarms[GATE].of]
        writer.writerow([*first, *shares, *bounds, *numbers])
    return text.getvalue()
