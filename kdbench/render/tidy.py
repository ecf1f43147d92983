"""The numbers as CSV with units in the column names: a row a file and setting, a row a case with its estimates."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from kdbench.evidence import CaseView, Evidence, Results
from kdbench.evidence.accuracy import SPLIT
from kdbench.evidence.intervals import Estimate
from kdbench.records import Accuracy, Latency, Memory, Record, Size

Row = Mapping[str, object]


def measurements(evidence: Evidence) -> str:
    """One row a (case, seed, target, batch size): what was measured, nothing estimated. Missing is empty."""
    results = evidence.results
    rows: dict[tuple[str, int, str, int | None], dict[str, object]] = {}
    for record in results.of(Latency):
        row = rows.setdefault(_place(record, record.batch_size), {})
        samples = [float(np.median(process)) for process in record.samples_ns or () if process]
        row |= {"latency_p50_ns": float(np.median(samples)), "process_count": len(samples)} if samples else {}
    for memory in results.of(Memory):
        rows.setdefault(_place(memory, memory.batch_size), {})["peak_rss_bytes"] = memory.peak_rss_bytes
    facts: list[Accuracy | Size] = [*results.of(Accuracy), *results.of(Size)]
    for fact in facts:
        batches = [key for key in rows if key[:3] == _place(fact, None)[:3]] or [_place(fact, None)]
        for key in batches:
            rows.setdefault(key, {}).update(_facts(fact))
    order = {name: place for place, name in enumerate(results.case_names)}
    keys = sorted(rows, key=lambda key: (order[key[0]], key[1], key[2], key[3] or 0))
    return _csv(_measured(results, key, rows[key]) for key in keys)


def estimates(evidence: Evidence) -> str:
    """One row a (case, target, batch size): means, intervals, differences and ratios, unrounded."""
    return _csv(_estimated(case, target, batch) for case in evidence.cases for target, batch in _settings(evidence))


def _settings(evidence: Evidence) -> Sequence[tuple[str, int | None]]:
    timed = {target for target, _ in evidence.settings}
    return [*evidence.settings, *((target, None) for target in evidence.targets if target not in timed)]


def _place(record: Record, batch: int | None) -> tuple[str, int, str, int | None]:
    return (record.case, record.seed, record.target or "", batch)


def _facts(record: Accuracy | Size) -> dict[str, object]:
    if isinstance(record, Accuracy):
        named = {
            f"accuracy_{record.split}_fraction": record.value,
            f"example_{record.split}_count": record.example_count,
        }
        agreement = {"teacher_agreement_fraction": record.teacher_agreement_fraction} if record.split == SPLIT else {}
        return {**named, **agreement}
    names = ("onnx_bytes", "onnx_gzip_bytes", "parameter_count", "nonzero_parameter_count", "mac_count")
    return {name: getattr(record, name) for name in names}


def _measured(results: Results, key: tuple[str, int, str, int | None], row: Row) -> Row:
    case, seed, target, batch = key
    family = results.plan.cases[case].family if case in results.plan.cases else ""
    return {"suite": results.plan.suite, "case": case, "family": family, "seed": seed, "target": target,
            "batch_size": batch, **row}  # fmt: skip


def _estimated(case: CaseView, target: str, batch: int | None) -> Row:
    row: dict[str, object] = {"case": case.name, "family": case.family, "target": target, "batch_size": batch}
    if view := case.accuracy.get(target):
        row |= _interval("accuracy", "fraction", view.estimate)
        row |= {"accuracy_seed_count": view.estimate.n, "accuracy_sd_fraction": view.estimate.sd,
                "accuracy_group": view.letters}  # fmt: skip
        if d := view.difference:
            row |= {"difference_fraction": d.value, "difference_low_fraction": d.low,
                    "difference_high_fraction": d.high, "difference_p": d.p,
                    "difference_holm_p": d.adjusted_p}  # fmt: skip
    if size := case.size.get(target):
        row |= {"onnx_bytes": size.onnx_bytes, "mac_count": size.mac_count, "parameter_count": size.parameter_count}
        row |= {f"compression_ratio_over_{role}": value for role, value in size.compression_ratio.items()}
    if batch is not None and (latency := case.latency.get((target, batch))):
        row |= _interval("latency_p50", "ns", latency.p50_ns) | {"latency_p90_ns": latency.p90_ns}
        for role, speedup in latency.speedup.items():
            row |= _interval(f"speedup_over_{role}", "ratio", speedup)
        row["latency_warnings"] = "; ".join(latency.warnings)
    if case.cost:
        row |= {"training_wall_ns": case.cost.wall_ns, "training_cpu_ns": case.cost.cpu_ns}
    return row | {"problems": "; ".join(case.problems)}


def _interval(name: str, unit: str, found: Estimate) -> dict[str, object]:
    return {f"{name}_{unit}": found.value, f"{name}_low_{unit}": found.low, f"{name}_high_{unit}": found.high}


def _csv(rows: Iterable[Row]) -> str:
    listed = list(rows)
    names = list(dict.fromkeys(name for row in listed for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: "" if value is None else value for name, value in row.items()} for row in listed)
    return text.getvalue()
