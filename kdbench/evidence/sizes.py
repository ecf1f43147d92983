"""File sizes of the cases on one target, and what they are smaller than."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kdbench.results.folder import Results
from kdbench.results.records import Size


@dataclass(frozen=True)
class SizeView:
    """The file of one case on one target: means over seeds."""

    file_bytes: float
    gzip_bytes: float
    parameter_count: float
    nonzero_parameter_count: float
    mac_count: float | None
    """None where `mac_rule` says why there are none to count."""
    mac_rule: str
    quantized_weight_fraction: float | None
    compression_ratio: dict[str, float]
    """Keyed by "baseline" and "teacher": their bytes / its bytes."""
    onnx_paths: tuple[str, ...]
    """Within the results folder, one a seed."""
    zstd_bytes: float | None
    weight_bytes_by_dtype: dict[str, float]
    """Empty where it was not recorded."""
    layer_counts: tuple[float, float] | None
    """(convolutions and matrix products with floating-point weights, all convolutions and matrix products)."""


def size_views(results: Results, target: str) -> dict[str, SizeView]:
    """The file sizes of every case that has one on a target."""
    by_case: dict[str, list[Size]] = {name: [] for name in results.case_names}
    for record in results.of(Size):
        if record.target in (target, None):
            by_case[record.case].append(record)
    sizes = {name: _mean(found, "file_bytes") for name, found in by_case.items() if found}
    against = {name: baseline for baseline, names in compared(results).items() for name in names}
    roles = {name: {"baseline": against[name], "teacher": results.teacher_of(name) or name} for name in against}
    return {name: _size_view(by_case[name], _ratios(sizes, name, roles[name])) for name in by_case if by_case[name]}


def compared(results: Results) -> dict[str | None, list[str]]:
    """Cases by the baseline they are compared with; the teacher goes with the suite's."""
    found: dict[str | None, list[str]] = {}
    for name in results.case_names:
        case = results.plan.cases.get(name)
        found.setdefault(results.plan.baseline if case is None else results.plan.baseline_of(case), []).append(name)
    return found


def _ratios(sizes: dict[str, float], name: str, roles: dict[str, str | None]) -> dict[str, float]:
    return {role: sizes[other] / sizes[name] for role, other in roles.items() if other in sizes and sizes[name] > 0}


def _size_view(found: Sequence[Size], ratios: dict[str, float]) -> SizeView:
    return SizeView(
        file_bytes=_mean(found, "file_bytes"),
        gzip_bytes=_mean(found, "gzip_bytes"),
        parameter_count=_mean(found, "parameter_count"),
        nonzero_parameter_count=_mean(found, "nonzero_parameter_count"),
        mac_count=None if any(r.mac_count is None for r in found) else _mean(found, "mac_count"),
        mac_rule=found[0].mac_rule,
        quantized_weight_fraction=_mean(found, "quantized_weight_fraction"),
        compression_ratio=ratios,
        onnx_paths=tuple(record.onnx_path for record in found),
        zstd_bytes=None if any(r.zstd_bytes is None for r in found) else _mean(found, "zstd_bytes"),
        weight_bytes_by_dtype=_bytes_by_dtype(found),
        layer_counts=_layer_counts(found),
    )


def _bytes_by_dtype(found: Sequence[Size]) -> dict[str, float]:
    """The mean over seeds, the most first."""
    names = {name for record in found for name in record.weight_bytes_by_dtype}
    means = {name: float(np.mean([r.weight_bytes_by_dtype.get(name, 0) for r in found])) for name in names}
    return dict(sorted(means.items(), key=lambda item: (-item[1], item[0])))


def _layer_counts(found: Sequence[Size]) -> tuple[float, float] | None:
    if any(record.layer_count is None or record.float_layer_count is None for record in found):
        return None
    return _mean(found, "float_layer_count"), _mean(found, "layer_count")


def _mean(found: Sequence[Size], name: str) -> float:
    return float(np.mean([getattr(record, name) for record in found]))
