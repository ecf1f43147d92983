"""Whether the new files still run where they are asked to and answer what their records say; on the kept sample."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kdbench.check.sides import File, Place, Side
from kdbench.errors import MeasureError, StoreError, UnknownName
from kdbench.measure.answers import OrError, Predicted
from kdbench.measure.client import Client
from kdbench.measure.decisions import agreement, decide
from kdbench.measure.form import OutputForm
from kdbench.ragged import Stored, chosen, same
from kdbench.results.sample import Sample

BATCH = 64
"""Examples a call, as many as when the files were evaluated."""
TIE = 0.01
"""Two classes of an example count as equal where their outputs lie no further apart than this share of the distance
from its lowest to its highest output. Another processor's kernels round otherwise, and one step of 8 bits is 1/255."""
LEAST_AGREEMENT = 0.99
"""Least agreement (`kdbench.measure.decisions.agreement`) of an output that is not classes."""


def wrong_answers(
    side: Side, files: Mapping[Place, File], entry: dict[str, Any], sample: Sample, folder: Path
) -> dict[Place, str]:
    """The files of one target that do not answer the sample as their records say -> a sentence on what is the matter.

    entry: how the target is measured (`session`, `python`).
    """
    if not files:
        return {}
    paths = {file.digest: file.path for file in files.values()}
    answers = Client(folder, entry["session"], entry.get("python")).predict(paths, sample.path, BATCH)
    faults = {place: _fault(side, place, answers[file.digest], sample) for place, file in files.items()}
    return {place: fault for place, fault in faults.items() if fault is not None}


def refused(files: Mapping[Place, File], entry: dict[str, Any], sample: Sample, folder: Path) -> dict[Place, str]:
    """The files of one target that the provider asked for does not run -> the sentence that says why.

    Skipped for the CPU provider, which has nothing to fall back to.
    """
    if not files or entry["session"].get("provider", "cpu") == "cpu":
        return {}
    paths = {file.digest: file.path for file in files.values()}
    client = Client(folder, entry["session"], entry.get("python"))
    proofs = client.prove(paths, sample.path, entry["batch_sizes"])
    found = {place: proofs[file.digest] for place, file in files.items()}
    return {place: str(proof) for place, proof in found.items() if isinstance(proof, MeasureError)}


def _fault(side: Side, place: Place, answer: OrError[Predicted], sample: Sample) -> str | None:
    if isinstance(answer, MeasureError):
        return str(answer)
    record = side.accuracies.get(place)
    try:
        stored = side.results.predictions(record) if record else None
    except (StoreError, UnknownName) as error:
        return str(error)
    if stored is None:
        return None  # nothing to compare with; the accuracy row says so
    if sample.index.max() >= len(stored.targets) or not same(chosen(stored.targets, sample.index), sample.targets):
        return "the sample is not of the test examples that it was evaluated on; run the suite again."
    output = sample.inputs.form.outputs[0]
    if output.kind != "classes":
        return _other_kind(output, chosen(stored.decisions, sample.index), answer.outputs()[0])
    said, outputs = stored.decisions[sample.index], np.asarray(answer.outputs()[0])
    if outputs.ndim != 2 or len(outputs) != len(said) or said.min() < 0:
        return f"the file gives outputs of shape {outputs.shape}, not scores an example; run the suite again."
    given = outputs[np.arange(len(said)), np.minimum(said, outputs.shape[1] - 1)]
    highest, lowest = outputs.max(axis=1), outputs.min(axis=1)
    count = int((highest - given > TIE * (highest - lowest)).sum())
    if count == 0:
        return None
    return (
        f"the file answers {count:,} of {len(said):,} sample examples otherwise here than its records say; "
        "run the suite on this machine to see what it is worth here."
    )


def _other_kind(output: OutputForm, said: Stored, given: Stored) -> str | None:
    share = agreement(output.kind, decide(output.kind, given, output.blank), said)
    if share >= LEAST_AGREEMENT:
        return None
    return (
        f"the file's answers to the sample agree with its records to {share:.1%} only here; run the suite on this "
        "machine to see what it is worth here."
    )
