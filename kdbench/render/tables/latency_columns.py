"""The decision table's columns of a setting: latency, speed-ups, percentiles, what ran where, memory."""

from collections.abc import Callable, Iterator
from typing import Any

from kdbench import units
from kdbench.evidence import CaseView, Evidence, ExecutionView, LatencyView, Setting
from kdbench.evidence.intervals import Estimate
from kdbench.render.tables.cells import Cell, dash
from kdbench.render.tables.columns import ColumnSpec, in_unit, middles, plain, ratios, reason, scaled
from kdbench.render.tables.score_columns import has_teacher
from kdbench.render.tables.throughput_columns import throughput_column
from kdbench.render.tables.use_columns import energy_columns, start_columns
from kdbench.render.words.words import NOT_TIMED, UNRELIABLE_TAIL, baseline_name, explained, setting_name, target_place
from kdbench.results.records import TEACHER
from kdbench.stats import needed_samples

NO_KERNELS = "the runtime did not say which kernels ran"
NO_MEMORY = "no memory was recorded"
TOO_SMALL = "n too small"
"""Stands in place of a percentile that the calls are too few for."""


def latency_columns(evidence: Evidence, setting: Setting) -> Iterator[ColumnSpec[Any]]:
    """The columns of one target and batch size; those of the first setting matter more."""
    first = setting == evidence.settings[0]
    timed = [view for case in evidence.cases if (view := case.latency.get(setting))]
    unit = units.common_unit([view.p50_ns.value for view in timed], units.NANOSECONDS)
    where: dict[str, Any] = {"place": setting_name(evidence, setting), "targets": (setting[0],)}

    def warnings(case: CaseView) -> list[str]:
        return [explained(word) for word in case.latency[setting].warnings]

    def tail_warnings(case: CaseView) -> list[str]:
        return [explained(word) for word in case.latency[setting].warnings if word in UNRELIABLE_TAIL]

    def percentile(rank: int, fraction: float, of: Callable[[LatencyView], float | None]) -> ColumnSpec[float]:
        def number(view: LatencyView) -> float | Cell:
            return _too_small(view, fraction) if (value := of(view)) is None else value

        name = f"p{100 * fraction:.0f}"
        return ColumnSpec(name, name, _timed(setting, number), in_unit(unit), NOT_TIMED, rank=rank,
                          notes=tail_warnings, **where)  # fmt: skip

    yield ColumnSpec("p50", "p50", _timed(setting, lambda view: view.p50_ns), middles(in_unit(unit)), NOT_TIMED,
                     rank=4 if first else 8, notes=warnings, **where)  # fmt: skip
    yield percentile(17, 0.9, lambda view: view.p90_ns)
    yield percentile(19, 0.99, lambda view: view.p99_ns)
    yield _speedup(setting, "speedup", "baseline", baseline_name(evidence), 5 if first else 7, where)
    if has_teacher(evidence):
        yield _speedup(setting, "speedup_teacher", TEACHER, TEACHER, 11 if first else 18, where)
    yield ColumnSpec("int8", "In int8", _timed(setting, _int8), plain(lambda share: units.percent(share, 0), "%"),
                     NOT_TIMED, "of kernels", rank=20, **where)  # fmt: skip
    yield from throughput_column(evidence, setting, where)
    yield from start_columns(setting, where)
    yield ColumnSpec("memory", "Memory", lambda case: case.memory_bytes.get(setting), scaled(units.BYTES), NO_MEMORY,
                     rank=21, is_optional=True, **where)  # fmt: skip
    yield from energy_columns(evidence, setting, where)


def _timed(setting: Setting, of: Callable[[LatencyView], Any]) -> Callable[[CaseView], Any]:
    """A number of a case's latency at a setting; None where it was not timed."""
    return lambda case: of(view) if (view := case.latency.get(setting)) else None


def _too_small(view: LatencyView, fraction: float) -> Cell:
    calls = sum(map(len, view.processes))
    why = f"{TOO_SMALL}: a p{100 * fraction:.0f} needs {needed_samples(fraction)} calls or more, here were {calls}"
    return Cell(TOO_SMALL, notes=(why,))


def _speedup(
    setting: Setting, key: str, role: str, over: str, rank: int, where: dict[str, Any]
) -> ColumnSpec[Estimate]:
    """How many times faster than the baseline or the teacher. Groups of latency rest on the ratios to the baseline."""

    def number(case: CaseView) -> Estimate | Cell | None:
        view = case.latency.get(setting)
        if view and (case.teaches if role == TEACHER else case.name == case.baseline):
            return Cell(role, value=1.0)
        return view.speedup.get(role) if view else None

    def missing(case: CaseView) -> str:
        timed = setting in case.latency
        return reason(case.problems_on(setting[0]), f"it was not timed beside the {role}" if timed else NOT_TIMED)

    letters = (lambda case: case.latency[setting].letters) if role == "baseline" else None
    return ColumnSpec(key, "Faster", number, ratios, missing, f"x {over}", rank=rank, letters=letters, **where)


def _int8(view: LatencyView) -> float | Cell:
    return dash(NO_KERNELS) if view.int8_kernel_fraction is None else view.int8_kernel_fraction


def asked_columns(evidence: Evidence) -> Iterator[ColumnSpec[float]]:
    """The asked provider's share of the work, for each target where another one took part."""
    for target in evidence.targets:
        if any(view.elsewhere for case in evidence.cases for view in _proven(case, target)):
            yield _asked(target)


def _proven(case: CaseView, target: str) -> list[ExecutionView]:
    return [view for (where, _), view in case.execution.items() if where == target and view.is_known]


def _asked(target: str) -> ColumnSpec[float]:
    def least(case: CaseView) -> float | None:
        """The least share of all batch sizes."""
        shares = (view.asked_share for view in _proven(case, target))
        return min((share for share in shares if share is not None), default=None)

    def missing(case: CaseView) -> str:
        timed = any(where == target for where, _ in case.latency)
        return reason(case.problems_on(target), NO_KERNELS if timed else NOT_TIMED)

    return ColumnSpec(
        "asked", "As asked", least, plain(share_text, "%"), missing, "of the work", place=target_place(target),
        rank=6, targets=(target,),
    )  # fmt: skip


def share_text(share: float) -> str:
    """A share in per cent; only the whole is 100, only nothing is 0."""
    text = units.percent(share, 0)
    if text == "100" and share < 1:
        return "> 99"
    return "< 1" if text == "0" and share > 0 else text
