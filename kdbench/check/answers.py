"""Whether the new files still run where they are asked to and answer what their records say; on the kept sample."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from kdbench.check.sides import SPLIT, File, Place, Side
from kdbench.errors import MeasureError, StoreError
from kdbench.measure.answers import OrError, Predicted
from kdbench.measure.client import Client

BATCH = 64
"""As many examples a call as when the files were evaluated."""
TIE = 0.01
"""Of the distance between an example's highest and lowest output: classes no further apart count as equal. Another
processor's kernels round otherwise, and a step of 8 bits is 1/255."""


@dataclass(frozen=True)
class Sample:
    """Test examples as models take them."""

    path: Path
    index: np.ndarray
    """Their places in the test split."""


def read_sample(side: Side, path: Path) -> Sample:
    """The kept sample. Raises StoreError where it is damaged."""
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:  # numpy leaves a bad one open
            return Sample(path, arrays["index"])
    except (OSError, EOFError, ValueError, KeyError, BadZipFile, zlib.error) as error:
        raise StoreError(f"the sample '{path}' of {side.name} is damaged ({error}); run the suite again.") from None


def wrong_answers(
    side: Side, files: Mapping[Place, File], entry: dict[str, Any], sample: Sample, folder: Path
) -> dict[Place, str]:
    """What is the matter, for those of one target's files whose records do not hold here.

    `entry` is what the plan says of how that target is measured.
    """
    if not files:
        return {}
    paths = {file.digest: file.path for file in files.values()}
    answers = Client(folder, entry["session"], entry.get("python")).predict(paths, sample.path, BATCH)
    faults = {place: _fault(side, place, answers[file.digest], sample) for place, file in files.items()}
    return {place: fault for place, fault in faults.items() if fault is not None}


def refused(files: Mapping[Place, File], entry: dict[str, Any], sample: Sample, folder: Path) -> dict[Place, str]:
    """Why the asked provider is not what runs a file, for those of one target's files that it does not run.

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
        stored = side.results.predictions(record.predictions_path, SPLIT) if record else None
    except StoreError as error:
        return str(error)
    if stored is None:
        return None  # nothing to compare with; the accuracy row says so
    if sample.index.max(initial=0) >= len(stored[0]):
        return "the sample is not of the test examples that it was evaluated on; run the suite again."
    said, outputs = stored[0][sample.index], np.load(answer.path)
    given = outputs[np.arange(len(said)), np.minimum(said, outputs.shape[1] - 1)]
    highest, lowest = outputs.max(axis=1), outputs.min(axis=1)
    count = int((highest - given > TIE * (highest - lowest)).sum())
    if count == 0:
        return None
    return (
        f"the file answers {count:,} of {len(said):,} sample examples otherwise here than its records say; "
        "run the suite on this machine to see what it is worth here."
    )
