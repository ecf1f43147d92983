"""Where each file ran, as rows for programs: units in the names, nothing rounded."""

from collections.abc import Iterator, Mapping

from kdbench.evidence import Evidence
from kdbench.evidence.execution import execution_view
from kdbench.results.records import CallSize, Failed, Latency

Row = Mapping[str, object]


def proof(record: Latency) -> Row:
    """Where one timing ran, as columns for programs; only those that were recorded."""
    view = execution_view([record])
    named = {
        "provider_asked": view.asked,
        "asked_node_fraction": view.node_share,
        "asked_kernel_time_fraction": view.kernel_time_shares.get(view.asked),
        "effective_precision": record.effective_precision,
        "answers_agreement_fraction": record.answers_agreement_fraction,
    }
    return {name: value for name, value in named.items() if value is not None} if view.is_known else {}


def proof_rows(found: Evidence) -> list[Row]:
    """One row for each timing and provider that took part in it, and one for each failed timing."""
    timed = [record for record in found.results.of(Latency) if execution_view([record]).is_known]
    failed = found.results.failures(kind=Latency)
    order = {name: place for place, name in enumerate(found.results.case_names)}
    both: list[Latency | Failed] = [*timed, *failed]
    everything = sorted(both, key=lambda r: (order[r.case], r.seed, r.target or "", _call_size(r)))
    return [row for record in everything for row in _rows(record)]


def _call_size(record: Latency | Failed) -> CallSize:
    return record.call_size if isinstance(record, Latency) else CallSize(0)


def _rows(record: Latency | Failed) -> Iterator[Row]:
    labels = {"case": record.case, "seed": record.seed, "target": record.target}
    if isinstance(record, Failed):
        yield {**labels, "status": record.status, "reason": record.reason}
        return
    shared = {
        **labels,
        "batch_size": record.batch_size,
        **{f"{axis}_size": size for axis, size in record.lengths.items()},
        "status": "ok",
        "reason": None,
        "runtime": f"{record.runtime} {record.runtime_version}",
        "provider_asked": record.provider_asked,
        "provider_options": ", ".join(f"{k}={v}" for k, v in sorted(record.provider_options.items())) or None,
        "precision": record.precision,
        "effective_precision": record.effective_precision,
        "int8_kernel_fraction": record.int8_kernel_fraction,
        "execution_note": record.execution_note,
        "answers_agreement_fraction": record.answers_agreement_fraction,
    }
    view = execution_view([record])
    for name in (view.asked, *view.elsewhere):
        yield {
            **shared,
            "provider": name,
            "node_count": _of(record.assigned_node_count_by_provider, name),
            "kernel_count": _of(record.node_count_by_provider, name),
            "kernel_ns": _of(record.kernel_ns_by_provider, name),
            "kernel_time_fraction": view.kernel_time_shares.get(name),
            "kernel_times_are_of_starting": view.is_asynchronous,
        }


def _of(counts: Mapping[str, int], name: str) -> int | None:
    """None where nothing was counted."""
    return counts.get(name, 0) if counts else None
