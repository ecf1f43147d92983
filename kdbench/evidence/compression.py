"""A compressed file beside the uncompressed student of the same seed: ratios, what it lost, what that cost.

The uncompressed student is the case's network before its first step that compresses: trained on labels alone, or
distilled where the chain begins so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdbench.evidence.answers import SPLIT, Answers
from kdbench.evidence.comparisons import compare
from kdbench.evidence.differences import Difference
from kdbench.evidence.intervals import Estimate
from kdbench.evidence.latency import ORIGIN, LatencyView
from kdbench.evidence.training import Cost, Stages
from kdbench.results.folder import Results
from kdbench.results.records import CallSize, Compression, Score, Size

FORMS = {
    "file": ("onnx_bytes", "artefact_bytes"),
    "gzip": ("onnx_gzip_bytes", "artefact_gzip_bytes"),
    "zstd": ("onnx_zstd_bytes", ""),
}
"""Ways to ship a file -> the field of the ONNX file's bytes, and of what it was converted to."""


@dataclass(frozen=True)
class ClassLoss:
    """One class of the task, and how much of it is lost."""

    name: str
    lost: float
    """Share of its examples: right before compression minus right after; mean over seeds."""
    example_count: int


@dataclass(frozen=True)
class CompressionView:
    """One compressed case on one target. What is None or missing was not recorded."""

    ratio: dict[str, float]
    """Form (FORMS) -> bytes of the uncompressed student / its bytes, each a mean over seeds."""
    mac_counts: tuple[float, float] | None
    """Before and after."""
    speedup: dict[CallSize, Estimate]
    """Batch size -> speed-up over the uncompressed student, above 1 where it is faster."""
    difference: Difference | None
    """Its accuracy minus the uncompressed student's, in rates, paired on seeds and examples; unadjusted."""
    agreement: float | None
    """Mean share of test examples on which both give the same class."""
    losses: tuple[ClassLoss, ...] | None
    """The classes that lost, the worst first; None where predictions of both files are not stored for every seed."""
    cost: Cost | None
    """Cost of the steps that compress, fine-tuning and calibration included: mean over seeds."""


def compression_views(
    results: Results, target: str, timed: Mapping[CallSize, Mapping[str, LatencyView]], stages: Stages
) -> dict[str, CompressionView]:
    """Every compressed case with a size or an accuracy on the target; `timed`: batch size -> case -> its latency."""
    return {
        name: view
        for name in results.case_names
        if is_compressed(results, name) and (view := _view(results, name, target, timed, stages)) is not None
    }


def is_compressed(results: Results, name: str) -> bool:
    """Whether the plan says so, or (in a folder without one) a record does."""
    case = results.plan.cases.get(name)
    if case is not None and case.uncompressed_step_count is not None:
        return True
    return any(record.origin for record in results.of(Size, name))


def _view(
    results: Results, name: str, target: str, timed: Mapping[CallSize, Mapping[str, LatencyView]], stages: Stages
) -> CompressionView | None:
    sizes = [record for record in results.of(Size, name) if record.target in (target, None)]
    tested = [r for r in results.scores(name) if r.target in (target, None) and r.split == SPLIT]
    if not sizes and not tested:
        return None
    return CompressionView(
        ratio={form: ratio for form in FORMS if (ratio := _ratio(sizes, form)) is not None},
        mac_counts=_mac_counts(sizes),
        speedup=_speedup(name, timed),
        difference=_difference(results, tested),
        agreement=_agreement(tested),
        losses=class_losses(results, tested),
        cost=_cost(results, name, target, stages),
    )


def _ratio(sizes: Sequence[Size], form: str) -> float | None:
    """Mean bytes before over mean bytes after; None where a seed does not know both."""
    after = [_bytes(vars(record), form) for record in sizes]
    before = [_bytes(record.origin, form) for record in sizes]
    return sum(before) / sum(after) if sizes and all([*before, *after]) else None


def _bytes(fields: Mapping[str, Any], form: str) -> int:
    """Bytes of the file that a size's fields are of, in a form; 0 where they do not tell."""
    exported, converted = FORMS[form]
    return int(fields.get(converted if fields.get("artefact") else exported) or 0)


def _mac_counts(sizes: Sequence[Size]) -> tuple[float, float] | None:
    pairs = [(record.origin.get("mac_count"), record.mac_count) for record in sizes]
    known = [(before, after) for before, after in pairs if before is not None and after is not None]
    if not known or len(known) < len(pairs):
        return None
    before, after = np.mean(np.array(known, dtype=np.float64), axis=0).tolist()
    return before, after


def _speedup(name: str, timed: Mapping[CallSize, Mapping[str, LatencyView]]) -> dict[CallSize, Estimate]:
    """Batch size -> speed-up over the same seed's uncompressed file, timed in the same rounds."""
    return {
        batch: views[name].speedup[ORIGIN]
        for batch, views in timed.items()
        if name in views and ORIGIN in views[name].speedup
    }


def _difference(results: Results, tested: Sequence[Score]) -> Difference | None:
    untrained = {name for name, case in results.plan.cases.items() if not case.trained}
    before = {
        record.seed: Answers(
            replace(record, value=record.origin_value), results.origin_predictions(record), record.case in untrained
        )
        for record in tested
        if record.origin_value is not None
    }
    after = {
        record.seed: Answers(record, results.predictions(record), record.case in untrained)
        for record in tested
        if record.seed in before
    }
    return compare(after, before)


def _agreement(tested: Sequence[Score]) -> float | None:
    known = [r.origin_agreement_fraction for r in tested if r.origin_agreement_fraction is not None]
    return float(np.mean(known)) if known else None


def class_losses(results: Results, tested: Sequence[Score]) -> tuple[ClassLoss, ...] | None:
    """The classes that lost, from the stored predictions of each seed's two files; None where some are missing."""
    seeds = [seed for record in tested if (seed := _changes_by_class(results, record)) is not None]
    if not seeds or len(seeds) < len(tested):
        return None
    classes = sorted({label for seed in seeds for label in seed})
    names = results.class_names
    found = []
    for label in classes:
        changes = [seed[label] for seed in seeds if label in seed]
        lost = -float(np.mean([change.mean() for change in changes]))
        name = names[label] if 0 <= label < len(names) else str(label)
        found.append(ClassLoss(name, lost, max(len(change) for change in changes)))
    return tuple(sorted((loss for loss in found if loss.lost > 0), key=lambda loss: -loss.lost))


def _changes_by_class(results: Results, record: Score) -> dict[int, NDArray[np.float64]] | None:
    """True class -> for each of its examples, right after compression minus right before; None without classes."""
    after = results.predictions(record)
    before = results.origin_predictions(record)
    if after is None or before is None or after.examples != before.examples or after.metric.output.kind != "classes":
        return None
    truth = after.targets
    change = (after.decisions == truth).astype(np.float64) - (before.decisions == truth)
    return {int(label): change[truth == label] for label in np.unique(truth)}


def _cost(results: Results, name: str, target: str, stages: Stages) -> Cost | None:
    """Cost of the stages that compress; None where the plan does not say which they are."""
    case = results.plan.cases.get(name)
    if case is None or case.uncompressed_step_count is None:
        return None
    return stages.cost_of(_compressing_stages(results, name, target, case.uncompressed_step_count))


def _compressing_stages(results: Results, name: str, target: str, first: int) -> dict[int, list[str]]:
    """Seed -> keys of a case's steps from number `first` on, in order: a later step has the longer lineage."""
    by_seed: dict[int, dict[str, int]] = {}
    for record in results.of(Compression, name):
        if record.target in (target, None):
            by_seed.setdefault(record.seed, {})[record.key] = len(record.lineage)
    return {seed: sorted(found, key=lambda key: found[key])[first:] for seed, found in by_seed.items()}
