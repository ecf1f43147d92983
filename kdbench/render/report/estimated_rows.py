"""A row of numbers for each case, target and batch size: means, intervals, differences and ratios, unrounded."""

import re
from collections.abc import Mapping, Sequence

from kdbench.evidence import CaseView, CompressionView, Evidence, Setting
from kdbench.evidence.intervals import Estimate
from kdbench.evidence.throughput import amount_throughput, provider_sweeps, speedup_over, throughput
from kdbench.render.words.words import threads_name
from kdbench.results.records import CallSize

Row = Mapping[str, object]


def estimated_rows(found: Evidence) -> list[Row]:
    """Every case at every target and batch size; columns bear their units."""
    fewest = {more: fewest for sweep in provider_sweeps(found) for more, fewest in sweep.more_threads}
    return [
        {**_estimated(found, case, target, batch), **_threaded(case, target, batch, fewest)}
        for case in found.cases
        for target, batch in _settings(found)
    ]


def call_columns(batch: CallSize | None) -> Row:
    """The batch size and, where an axis varies, the examples' length."""
    if batch is None:
        return {"batch_size": None}
    return {"batch_size": batch.batch_size, **{f"{axis}_size": size for axis, size in batch.lengths}}


def rate_name(unit: str) -> str:
    """seconds_of_sound_per_second: the end of a column's name."""
    return re.sub(r"\W+", "_", f"{unit} per second")


def _settings(found: Evidence) -> Sequence[tuple[str, CallSize | None]]:
    timed = {target for target, _ in found.settings}
    return [*found.settings, *((target, None) for target in found.targets if target not in timed)]


def _estimated(found: Evidence, case: CaseView, target: str, batch: CallSize | None) -> Row:
    row: dict[str, object] = {"case": case.name, "family": case.family, "target": target, **call_columns(batch)}
    if view := case.score.get(target):
        row |= _interval("accuracy", "fraction", view.estimate)
        row |= {"accuracy_seed_count": view.estimate.n, "accuracy_sd_fraction": view.estimate.sd,
                "accuracy_group": view.letters}  # fmt: skip
        if d := view.difference:
            row |= {"difference_fraction": d.value, "difference_low_fraction": d.low,
                    "difference_high_fraction": d.high, "difference_p": d.p,
                    "difference_holm_p": d.adjusted_p}  # fmt: skip
    if size := case.size.get(target):
        row |= {"onnx_bytes": round(size.file_bytes), "parameter_count": round(size.parameter_count),
                "mac_count": None if size.mac_count is None else round(size.mac_count)}  # fmt: skip
        row |= {f"compression_ratio_over_{role}": value for role, value in size.compression_ratio.items()}
    if batch is not None and (latency := case.latency.get((target, batch))):
        row |= _interval("latency_p50", "ns", latency.p50_ns) | {"latency_p90_ns": latency.p90_ns}
        row |= _interval("throughput", "examples_per_second", throughput(latency, batch.batch_size))
        if rate := amount_throughput(found, case, (target, batch)):
            row |= _interval("throughput", rate_name(rate[1]), rate[0])
        for role, speedup in latency.speedup.items():
            row |= _interval(f"speedup_over_{role}", "ratio", speedup)
        row |= {"latency_group": latency.letters, "latency_warnings": "; ".join(latency.warnings)}
    row |= _used(case, (target, batch)) if batch is not None else {}
    if compressed := case.compression.get(target):
        row |= _compressed(compressed, batch)
    if case.cost:
        row |= {"training_wall_ns": case.cost.wall_ns, "training_cpu_ns": case.cost.cpu_ns}
    return row | {"problems": "; ".join((*case.problems, *case.excluded))}


def _threaded(case: CaseView, target: str, batch: CallSize | None, fewest: Mapping[Setting, Setting]) -> Row:
    """Speed-up over the provider's fewest threads, which were not timed side by side."""
    other = None if batch is None else fewest.get((target, batch))
    if batch is None or other is None or (speedup := speedup_over(case, (target, batch), other)) is None:
        return {}
    return _interval(f"speedup_over_{threads_name(other[0]).replace(' ', '_')}", "ratio", speedup)


def _used(case: CaseView, setting: Setting) -> Row:
    """Cold start, energy and where it ran; medians with the least and the most of the processes."""
    row: dict[str, object] = {}
    if start := case.start.get(setting):
        row |= _interval("cold_start", "ns", start.total_ns)
        row |= {} if start.engine_build_ns is None else {"engine_build_ns": start.engine_build_ns}
    if energy := case.energy.get(setting):
        row |= _interval("energy_a_call", "mj", energy.call_mj) | {"energy_counter": energy.counter}
    if (execution := case.execution.get(setting)) and execution.is_known:
        row |= {"asked_kernel_time_fraction": execution.kernel_time_shares.get(execution.asked),
                "asked_node_fraction": execution.node_share}  # fmt: skip
    return row


def _compressed(view: CompressionView, batch: CallSize | None) -> Row:
    """A compressed case compared with the uncompressed student of the same seed."""
    row: dict[str, object] = {f"{form}_compression_ratio_over_origin": ratio for form, ratio in view.ratio.items()}
    if d := view.difference:
        row |= {"origin_difference_fraction": d.value, "origin_difference_low_fraction": d.low,
                "origin_difference_high_fraction": d.high}  # fmt: skip
    row |= {"origin_agreement_fraction": view.agreement}
    if batch is not None and (speedup := view.speedup.get(batch)):
        row |= _interval("speedup_over_origin", "ratio", speedup)
    if view.cost:
        row |= {"compressing_wall_ns": view.cost.wall_ns, "compressing_cpu_ns": view.cost.cpu_ns}
    return row


def _interval(name: str, unit: str, found: Estimate) -> dict[str, object]:
    return {f"{name}_{unit}": found.value, f"{name}_low_{unit}": found.low, f"{name}_high_{unit}": found.high}
