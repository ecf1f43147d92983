"""The numbers as tables for programs, units in the column names: a row a measurement, or a case and its estimates."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kdbench import stats
from kdbench.errors import KdbenchError
from kdbench.evidence import Evidence, evidence
from kdbench.evidence.answers import SPLIT
from kdbench.evidence.use import energy_view, start_view
from kdbench.files import slug
from kdbench.render.report.estimated_rows import Row, call_columns, estimated_rows, rate_name
from kdbench.render.tables.executed_rows import proof, proof_rows
from kdbench.results.folder import Results
from kdbench.results.records import CallSize, Energy, Labelled, Latency, Memory, Score, Size, Start
from kdbench.scale import ACCURACY

if TYPE_CHECKING:
    import pandas as pd

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
    return _csv(_frame(estimated_rows(found)))


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
        rows.setdefault(_place(record, record.call_size), {}).update(_latency(record, results.amount(record.call_size)))
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
    return {**labels, **call_columns(batch)}


def _latency(record: Latency, amount: tuple[float, str] | None) -> Row:
    """amount: how much a call takes, and of what, where lengths vary."""
    processes = [process for process in record.samples_ns if process]
    calls = [sample for process in processes for sample in process]
    p50 = stats.median_of_process_medians(processes) if processes else None
    return {
        "latency_p50_ns": p50,
        "latency_p90_ns": stats.percentile(calls, 0.9),
        "latency_p99_ns": stats.percentile(calls, 0.99),
        "throughput_examples_per_second": 1e9 * (record.batch_size or 1) / p50 if p50 else None,
        **({f"throughput_{rate_name(amount[1])}": 1e9 * amount[0] / p50} if amount and p50 else {}),
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
