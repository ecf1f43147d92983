"""The numbers as tables for programs, units in the column names: a row a measurement, or a case and its estimates."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kdbench import stats
from kdbench.errors import KdbenchError
from kdbench.evidence import CaseView, CompressionView, Evidence, Setting, evidence
from kdbench.evidence.answers import SPLIT
from kdbench.evidence.intervals import Estimate
from kdbench.evidence.throughput import provider_sweeps, thread_speedup, throughput
from kdbench.evidence.use import energy_view, start_view
from kdbench.files import slug
from kdbench.render.tables.executed_rows import proof, proof_rows
from kdbench.render.words.words import threads_name
from kdbench.results.folder import Results
from kdbench.results.records import CallSize, Energy, Labelled, Latency, Memory, Score, Size, Start
from kdbench.scale import ACCURACY

if TYPE_CHECKING:
    import pandas as pd

Row = Mapping[str, object]
Place = tuple[str, int, str, CallSize | None]
"""Case, seed, target, what a call takes."""
NO_CALL = CallSize(0)
"""Sorts what was not timed first."""
WHOLE = ("_count", "_bytes", "seed", "_size", "threads")
DECIMAL = ("_fraction", "_ns", "_mj", "_watts", "_ratio", "_p", "_baseline", "_teacher", "_origin", "_per_second")
"""Endings of the names of columns that hold numbers; all other columns hold text."""
SIZES = ("onnx_bytes", "onnx_gzip_bytes", "parameter_count", "nonzero_parameter_count", "mac_count",
         "quantized_weight_fraction", "onnx_sha256", "onnx_path")  # fmt: skip
FORMULA = r"^(?=[=+\-@\t\r])"
"""Where a text begins that spreadsheets compute."""
LATER_SIZES = ("onnx_zstd_bytes", "layer_count", "float_layer_count")
"""Fields that older records lack."""


def load(folder: str | Path) -> "pd.DataFrame":
    """A results folder as a tidy frame: a row for each case, seed, target and batch size.

    Whole numbers are Int64, others float64, text string; what was not measured is missing. Raises StoreError where
    the folder has no records.
    """
    return frame(evidence(Path(folder)))


def frame(found: Evidence) -> "pd.DataFrame":
    """All measurements as a frame, without estimates."""
    return _frame(_measured(found))


def measurements(found: Evidence) -> str:
    """The frame of measurements as CSV; missing is empty."""
    return _csv(frame(found))


def estimates(found: Evidence) -> str:
    """Means, intervals, differences and ratios as CSV, unrounded: one row for each case, target and batch size."""
    fewest = {more: fewest for sweep in provider_sweeps(found) for more, fewest in sweep.more_threads}
    rows = [
        {**_estimated(case, target, batch), **_threaded(case, target, batch, fewest)}
        for case in found.cases
        for target, batch in _settings(found)
    ]
    return _csv(_frame(rows))


def executions(found: Evidence) -> str:
    """Where each file ran as CSV: one row for each case, seed, target, batch size and provider; failures with reasons.

    Empty if no record says where a file ran.
    """
    rows = proof_rows(found)
    return _csv(_frame(rows)) if rows else ""


def write_frame(table: "pd.DataFrame", path: Path) -> None:
    """Write a frame as .csv or .parquet. Raises KdbenchError for another suffix, or if Parquet lacks pyarrow."""
    if path.suffix == ".csv":
        path.write_text(_csv(table), encoding="utf-8", newline="\n")
    elif path.suffix == ".parquet":
        try:
            table.to_parquet(path, index=False, engine="pyarrow")
        except ImportError:
            raise KdbenchError("Parquet needs pyarrow; install kdbench[parquet].") from None
    else:
        raise KdbenchError(f"'{path}' is neither .csv nor .parquet; end its name in one of them.")


def _csv(table: "pd.DataFrame") -> str:
    """A text that a spreadsheet would take for a formula begins with an apostrophe, which makes it text there too."""
    guarded = {
        str(name): column.str.replace(FORMULA, "'", regex=True)
        for name, column in table.items()
        if _dtype(str(name)) == "string"
    }
    return table.assign(**guarded).to_csv(index=False, lineterminator="\n")


def _frame(rows: Sequence[Row]) -> "pd.DataFrame":
    import pandas as pd

    names = dict.fromkeys(name for row in rows for name in row)
    return pd.DataFrame({name: pd.Series([row.get(name) for row in rows], dtype=_dtype(name)) for name in names})


def _dtype(name: str) -> str:
    return "Int64" if name.endswith(WHOLE) else "float64" if name.endswith(DECIMAL) else "string"


def _measured(found: Evidence) -> list[Row]:
    results = found.results
    rows: dict[Place, dict[str, object]] = {}
    for record in results.of(Latency):
        rows.setdefault(_place(record, record.call_size), {}).update(_latency(record))
    for memory in results.of(Memory):
        added = {"peak_rss_bytes": memory.peak_rss_bytes, "import_rss_bytes": memory.import_rss_bytes}
        rows.setdefault(_place(memory, memory.call_size), {}).update(added)
    for start in results.of(Start):
        rows.setdefault(_place(start, start.call_size), {}).update(_start(start))
    for energy in results.of(Energy):
        rows.setdefault(_place(energy, energy.call_size), {}).update(_energy(energy))
    timed: dict[tuple[str, int, str], list[Place]] = {}
    for place in rows:
        timed.setdefault(place[:3], []).append(place)
    word, end = score_column(results)
    facts: list[Score | Size] = [*results.scores(), *results.of(Size)]
    for fact in facts:
        place = _place(fact, None)
        for key in timed.get(place[:3], [place]):
            rows.setdefault(key, {}).update(_facts(fact, word, end))
    order = {name: place for place, name in enumerate(results.case_names)}
    keys = sorted(rows, key=lambda key: (order[key[0]], key[1], key[2], key[3] or NO_CALL))
    return [{**_labels(found, key), **rows[key]} for key in keys]


def _place(record: Labelled, batch: CallSize | None) -> Place:
    return (record.case, record.seed, record.target or "", batch)


def _labels(found: Evidence, place: Place) -> Row:
    case, seed, target, batch = place
    plan = found.results.plan
    family = plan.cases[case].family if case in plan.cases else "reference"
    labels: Row = {"suite": plan.suite, "case": case, "family": family, "seed": seed, "target": target}
    return {**labels, **_call(batch)}


def _call(batch: CallSize | None) -> Row:
    """The batch size and, where an axis varies, the examples' length."""
    if batch is None:
        return {"batch_size": None}
    return {"batch_size": batch.batch_size, **{f"{axis}_size": size for axis, size in batch.lengths}}


def _latency(record: Latency) -> Row:
    processes = [process for process in record.samples_ns if process]
    calls = [sample for process in processes for sample in process]
    p50 = stats.median_of_process_medians(processes) if processes else None
    return {
        "latency_p50_ns": p50,
        "latency_p90_ns": stats.percentile(calls, 0.9),
        "latency_p99_ns": stats.percentile(calls, 0.99),
        "throughput_examples_per_second": 1e9 * (record.batch_size or 1) / p50 if p50 else None,
        "process_count": len(processes),
        "call_count": len(calls),
        "load_ns": float(np.median(record.load_ns)) if record.load_ns else None,
        "int8_kernel_fraction": record.int8_kernel_fraction,
        **proof(record),
        "runtime": f"{record.runtime} {record.runtime_version}",
        "provider": ", ".join(record.providers_got),
        "precision": record.precision,
        "threads": record.threads_intra,
        "warnings": "; ".join(record.warnings) or None,
        "fingerprint": record.fingerprint,
    }


def _start(record: Start) -> Row:
    view = start_view([record])
    named = {
        "cold_start_ns": view.total_ns.value,
        "cold_start_import_ns": view.import_ns.value,
        "cold_start_load_ns": view.load_ns.value,
        "cold_start_first_inference_ns": view.first_inference_ns.value,
    }
    return named if view.engine_build_ns is None else {**named, "engine_build_ns": view.engine_build_ns}


def _energy(record: Energy) -> Row:
    view = energy_view([record])
    named: dict[str, object] = {"energy_counter": view.counter, "energy_a_call_mj": view.call_mj.value}
    if view.above_idle_mj is not None:
        named |= {"energy_above_idle_a_call_mj": view.above_idle_mj.value, "idle_power_watts": view.idle_watts}
    return named


def score_column(results: Results) -> tuple[str, str]:
    """The name of a column of the task's metric, and its end: accuracy, _fraction; rmse, nothing."""
    scores = results.scores()
    metric = slug(scores[0].metric) if scores else ACCURACY
    return metric, "_fraction" if results.scale.is_fraction else ""


def _facts(record: Score | Size, word: str, end: str) -> Row:
    if isinstance(record, Size):
        later = {name: value for name in LATER_SIZES if (value := getattr(record, name)) is not None}
        return {**{name: getattr(record, name) for name in SIZES}, **later}
    named = {
        f"{word}_{record.split}{end}": record.value,
        f"example_{record.split}_count": record.example_count,
    }
    if record.origin_value is not None:
        named[f"{word}_origin_{record.split}{end}"] = record.origin_value
    if record.split != SPLIT:
        return named
    agreement = {"teacher_agreement_fraction": record.teacher_agreement_fraction}
    if record.origin_agreement_fraction is not None:
        agreement["origin_agreement_fraction"] = record.origin_agreement_fraction
    return {**named, **agreement}


def _settings(found: Evidence) -> Sequence[tuple[str, CallSize | None]]:
    timed = {target for target, _ in found.settings}
    return [*found.settings, *((target, None) for target in found.targets if target not in timed)]


def _estimated(case: CaseView, target: str, batch: CallSize | None) -> Row:
    row: dict[str, object] = {"case": case.name, "family": case.family, "target": target, **_call(batch)}
    if view := case.score.get(target):
        row |= _interval("accuracy", "fraction", view.estimate)
        row |= {"accuracy_seed_count": view.estimate.n, "accuracy_sd_fraction": view.estimate.sd,
                "accuracy_group": view.letters}  # fmt: skip
        if d := view.difference:
            row |= {"difference_fraction": d.value, "difference_low_fraction": d.low,
                    "difference_high_fraction": d.high, "difference_p": d.p,
                    "difference_holm_p": d.adjusted_p}  # fmt: skip
    if size := case.size.get(target):
        row |= {"onnx_bytes": round(size.onnx_bytes), "parameter_count": round(size.parameter_count),
                "mac_count": None if size.mac_count is None else round(size.mac_count)}  # fmt: skip
        row |= {f"compression_ratio_over_{role}": value for role, value in size.compression_ratio.items()}
    if batch is not None and (latency := case.latency.get((target, batch))):
        row |= _interval("latency_p50", "ns", latency.p50_ns) | {"latency_p90_ns": latency.p90_ns}
        row |= _interval("throughput", "examples_per_second", throughput(latency, batch.batch_size))
        for role, speedup in latency.speedup.items():
            row |= _interval(f"speedup_over_{role}", "ratio", speedup)
        row |= {"latency_group": latency.letters, "latency_warnings": "; ".join(latency.warnings)}
    row |= _used(case, (target, batch)) if batch is not None else {}
    if compressed := case.compression.get(target):
        row |= _compressed(compressed, batch)
    if case.cost:
        row |= {"training_wall_ns": case.cost.wall_ns, "training_cpu_ns": case.cost.cpu_ns}
    return row | {"problems": "; ".join(case.problems)}


def _threaded(case: CaseView, target: str, batch: CallSize | None, fewest: Mapping[Setting, Setting]) -> Row:
    """Speed-up over the provider's fewest threads, which were not timed side by side."""
    other = None if batch is None else fewest.get((target, batch))
    if batch is None or other is None or (speedup := thread_speedup(case, (target, batch), other)) is None:
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
