"""Words that every form of a check shares: order of rows, the answer in one line, numbers as text. Decides nothing."""

from collections import Counter
from collections.abc import Iterator
from statistics import NormalDist
from typing import Any

from kdbench import units
from kdbench.check import Checked, Row, Verdict
from kdbench.check.scores import FALSE_ALARM
from kdbench.evidence.intervals import LEVEL
from kdbench.render.words.words import counted, listed, target_place
from kdbench.scale import ACCURACY

WORST_FIRST = (
    *(Verdict.SLOWER, Verdict.LESS_ACCURATE, Verdict.WORSE, Verdict.LARGER),
    *(Verdict.WRONG_PROVIDER, Verdict.ERRORED, Verdict.CANNOT_TELL, Verdict.OK),
)
ANSWERS = {
    0: "no regression",
    1: "something errored",
    3: "regression confirmed",
    4: "cannot tell",
}
"""Exit code -> what it means."""
NOTHING = "nothing was measured, so there is nothing to be sure of"


def in_order(checked: Checked) -> list[Row]:
    """Worst verdict first, then what is furthest beyond its limit; else as they were checked."""
    return sorted(checked.rows, key=lambda row: (WORST_FIRST.index(row.verdict), -_excess(row)))


def not_ok(checked: Checked) -> list[Row]:
    """The rows that a reader must see, worst first."""
    return [row for row in in_order(checked) if row.verdict is not Verdict.OK]


def answer(checked: Checked) -> str:
    """Regression confirmed, that is exit code 3."""
    return ANSWERS[checked.exit_code]


def tally(checked: Checked) -> str:
    """1 slower, 2 cannot tell and 20 ok."""
    counts = Counter(row.verdict for row in checked.rows)
    return listed([f"{counts[verdict]} {verdict}" for verdict in WORST_FIRST if verdict in counts]) or NOTHING


def compared(checked: Checked) -> str:
    """The two sides of the check, in one line."""
    return f"{printable(checked.new)} against {printable(checked.reference)}"


def place(row: Row) -> str:
    """Cpu, 1 thread, batch 32; empty for what is the same on every device."""
    parts = [target_place(row.target)] if row.target else []
    parts += [f"batch {row.call_size}"] if row.call_size is not None else []
    return printable(", ".join(parts))


def whole_name(row: Row, with_seed: bool) -> str:
    """Soft, seed 1, latency on cpu, 1 thread, batch 32."""
    where = place(row)
    whose = f", {seed_words(row)}" if with_seed else ""
    return f"{printable(row.case)}{whose}, {metric(row)}{f' on {where}' if where else ''}"


def metric(row: Row) -> str:
    """Latency, size, or the name of the task's metric."""
    return row.label if row.kind == "score" else row.metric


def seed(row: Row) -> str:
    """3; "all" for a row of all seeds together."""
    return "all" if row.seed is None else str(row.seed)


def seed_words(row: Row) -> str:
    """Seed 1, or all seeds."""
    return "all seeds" if row.seed is None else f"seed {row.seed}"


def several_seeds(checked: Checked) -> bool:
    """Whether rows must say their seed to be told apart."""
    return len({row.seed for row in checked.rows}) > 1


def change(row: Row) -> str:
    """+4.3 % (+3.8 to +4.8), 3.0x (2.9 to 3.1) from twice on, points for accuracy; a loss of accuracy has a minus."""
    if row.value is None:
        return units.MISSING
    if row.kind != "score" and row.value >= 2:
        return units.ratio(row.value, row.low, row.high)
    ends = [_signed(row, end) for end in _ends(row) if end not in (None, row.value)]
    return f"{_signed(row, row.value)} {_unit(row)}" + (f" ({ends[0]} to {ends[1]})" if len(ends) == 2 else "")


def limit(row: Row) -> str:
    """+3.0 %, or −0.5 points: what the change may be at most."""
    return units.MISSING if row.limit is None else f"{_signed(row, row.limit)} {_unit(row)}"


def measured(row: Row, value: float | None) -> str:
    """A latency, a size or a rate with its unit; sizes to the byte, as they are exact."""
    if value is None:
        return units.MISSING
    if row.kind == "latency":
        return units.latency(value)
    return (
        f"{units.number(value, 0)} B"
        if row.kind == "size"
        else row.scale.said(value, 2 if row.scale.is_fraction else None)
    )


def need(row: Row) -> str:
    """How many test examples would tell, if a drop that could be chance is real; else empty.

    The interval holds 95 % and narrows with the root of their number; the gate wants FALSE_ALARM on one side.
    """
    unknown = row.value is None or row.low is None
    if row.metric != ACCURACY or row.verdict is not Verdict.CANNOT_TELL or unknown or not row.value or row.value < 0:
        return ""
    wanted = (1 - FALSE_ALARM, (1 + LEVEL) / 2)
    surer, half = (NormalDist().inv_cdf(share) for share in wanted)
    times = (surer / half * (row.value - (row.low or 0.0)) / row.value) ** 2
    if times <= 1:
        return ""
    return f"If that drop is real, about {units.number(times, 1)}x as many test examples would tell."


def sentence(row: Row) -> str:
    """The finding; where it decides nothing, what a decision would take."""
    return " ".join(part for part in (printable(row.said), need(row)) if part)


def machines(checked: Checked) -> Iterator[str]:
    """The machines and runtimes, each with the targets that it re-measured."""
    targets: dict[str, list[str]] = {}
    for target, environment in checked.environments.items():
        targets.setdefault(_machine(environment), []).append(target_place(target))
    for machine, places in targets.items():
        yield printable(f"{'; '.join(places)}: {machine or 'a machine that says nothing of itself'}")


def cost(checked: Checked) -> str:
    """When it ended up being checked and how long that took."""
    when = units.period(checked.created_utc, checked.created_utc)
    return printable(f"Checked {when}, in {units.duration(checked.wall_ns)}.")


def printable(text: str) -> str:
    """The text on one line, without what does not print."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def _machine(facts: dict[str, Any]) -> str:
    cores = facts.get("logical_core_count")
    parts = [str(facts["cpu"])] if facts.get("cpu") else []
    parts += [counted(int(cores), "core")] if cores else []
    parts += [str(gpu) for gpu in facts.get("gpus", ())]
    if facts.get("runtime"):
        parts.append(f"{facts['runtime']} {facts.get('runtime_version', '')}".strip())
    return ", ".join(parts)


def _excess(row: Row) -> float:
    """How far beyond its limit, as a share or a rate."""
    if row.value is None:
        return 0.0
    return row.value - (row.limit if row.limit is not None else 0.0)


def _ends(row: Row) -> tuple[float | None, float | None]:
    falls = row.kind == "score" and row.scale.higher
    return (row.high, row.low) if falls else (row.low, row.high)


def _signed(row: Row, value: float) -> str:
    """A ratio as per cent more, an accuracy's drop as points less; always with its sign but for zero."""
    if row.kind == "score" and not row.scale.is_fraction and not row.is_relative:
        return row.scale.change(-value if row.scale.higher else value) if value else "0"
    more = (-value if row.scale.higher else value) if row.kind == "score" else value - 1
    return units.points(more, 1 if row.kind == "latency" else 2) if more else "0"


def _unit(row: Row) -> str:
    return "%" if row.kind != "score" or row.is_relative else row.scale.of_differences
