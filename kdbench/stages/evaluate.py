"""The evaluate stage: what one file answers on one target, and how big an ONNX file is. Needs no torch."""

import gzip
import json
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import zstandard

from kdbench.files import sha256_of
from kdbench.protocols import TaskDescription
from kdbench.protocols.metric import Metric, metric_named
from kdbench.ragged import Index, Ragged, Stored, stored_array
from kdbench.stages import _contents, _session
from kdbench.stages._inputs import shares, write_inputs
from kdbench.stages.names import CONVERSION, EXPORT_FACTS, ONNX_FILE, PREDICTIONS, RECORDS, answers_file
from kdbench.stages.scores import predictions_of, score_facts
from kdbench.stages.work import Fact, Work, read_description
from kdbench.tasks.rows import taken
from kdbench.tasks.spool import RaggedSpool, spooled

SPLITS = ("validation", "test")
PREDICTION_BATCH = 64
GZIP_LEVEL, ZSTD_LEVEL = 6, 3
"""The default levels of gzip and zstd."""
OF_ORIGIN = (
    *("parameter_count", "nonzero_parameter_count", "mac_count", "onnx_sha256"),
    *("onnx_bytes", "onnx_gzip_bytes", "onnx_zstd_bytes", "artefact", "artefact_bytes", "artefact_gzip_bytes"),
)
"""Facts of the uncompressed student's file that stand in a size record."""


def evaluate(work: Work) -> list[Fact]:
    """Predict validation and test through the target's runtime; keep what was decided, return scores and size.

    A size is that of an ONNX file, or of what it was converted to; a program for torch is nothing that anybody deploys.
    """
    task = read_description(work.input("data"))
    splits = [split for split in SPLITS if task.example_counts.get(split)]
    model = _session.model_file(work, "model")
    metrics = {name: _metric(work, name) for output in task.outputs for name in output.metrics}
    predictions: dict[str, np.ndarray] = {}
    facts = []
    for split in splits:
        with tempfile.TemporaryDirectory(dir=work.out) as scratch:
            outputs = predict(work, task, model, split, Path(scratch))
            predictions |= predictions_of(task, split, outputs, _targets(work, task, split), metrics)
            told = {"runtime": runtime_name(work), **_difference(work, split, outputs)}
        teacher, origin = (_stored(work, role) for role in ("teacher", "origin"))
        tells, taught = (work.spec.settings.get(name, ()) for name in ("tells", "taught"))
        scored = score_facts(task, split, predictions, metrics, teacher, origin, tells, taught)
        facts += [{**fact, **told} for fact in scored]
    np.savez_compressed(work.out / PREDICTIONS, **predictions)  # type: ignore[arg-type]  # numpy types only its flag
    if (model.parent / CONVERSION).is_file():
        return [*facts, _converted_size(work, model, task)]
    return [*facts, _size(work, model, task)] if model.name == ONNX_FILE else facts


def _stored(work: Work, role: str) -> dict[str, np.ndarray] | None:
    """What another file of the same data answered; None where there is no such file."""
    if role not in work.spec.inputs:
        return None
    with np.load(work.input(role) / PREDICTIONS) as arrays:
        return dict(arrays)


def _metric(work: Work, name: str) -> Metric:
    """The metric of that name: the suite's own, or a registered one."""
    own: Metric | None = work.part(name) if name in work.spec.parts else None
    return own or metric_named(name)


def predict(work: Work, task: TaskDescription, model: Path, split: str, folder: Path) -> list[Stored]:
    """For each output of the task what the target's runtime gives for a split, (N, ...) or N answers of unequal length.

    The arrays are mapped from files in `folder`. A split's inputs need not fit into memory.
    """
    digest, parts = sha256_of(model), list[list[Stored]]()
    order = shares(work.input("data"), task, split, PREDICTION_BATCH)
    for number, places in enumerate(order):
        part = folder / str(number)
        part.mkdir()
        inputs = write_inputs(work.input("data"), task, split, part / "inputs.npz", places)
        parts.append(_session.predict(work, digest, model, inputs, PREDICTION_BATCH, part))
        inputs.unlink()
    if len(parts) == 1:
        return parts[0]
    own = np.argsort(np.concatenate(order))
    paths = (folder / f"{number}.npy" for number in range(len(task.outputs)))
    return [_joined(arrays, own, path) for arrays, path in zip(zip(*parts, strict=True), paths, strict=True)]


def _joined(parts: Sequence[Stored], own: Index, path: Path) -> Stored:
    """Parts of a split's answers as one array in the split's `own` order, mapped from a file."""
    first = parts[0]
    if isinstance(first, Ragged):
        with RaggedSpool(path.parent, first.values.dtype, first.shape) as spool:
            for row in (part[place] for part in parts for place in range(len(part))):
                spool.add([row])
            together: Stored = spool.mapped()
    else:
        together = spooled(path.parent, first.dtype, first.shape[1:], map(np.asarray, parts))
    taken(together, own).save(path)
    return stored_array(path)


def _targets(work: Work, task: TaskDescription, split: str) -> list[Stored]:
    return [stored_array(work.input("data") / f"{split}_targets{number}.npy") for number in range(len(task.outputs))]


def runtime_name(work: Work) -> str:
    """The runtime that computed the predictions, its version and the provider."""
    numerics, session = work.spec.numerics, work.spec.settings["target"]["session"]
    return f"{numerics['runtime']} {numerics['runtime_version']} {session['provider']}"


def _difference(work: Work, split: str, outputs: list[Stored]) -> Fact:
    """The largest difference from what the network that was exported gives; nothing where it is not finite."""
    exported = (stored_array(answers_file(work.input("export"), split, number)) for number in range(len(outputs)))
    difference = max(_furthest(one, other) for one, other in zip(outputs, exported, strict=True))
    return {"max_abs_logit_difference": difference} if math.isfinite(difference) else {}


def _furthest(one: Stored, other: Stored) -> float:
    """The largest difference between two models' outputs; padding is in neither."""
    first, second = (array.values if isinstance(array, Ragged) else array for array in (one, other))
    return float(np.abs(first - second).max(initial=0.0))


def _size(work: Work, path: Path, task: TaskDescription) -> Fact:
    data = path.read_bytes()
    model = onnx.load_from_string(data)
    counted: dict[str, Any] = json.loads((work.input("export") / EXPORT_FACTS).read_text(encoding="utf-8"))
    counted.pop("parity_max_abs_difference")
    held = _contents.contents(model)
    if path.parent != work.input("export") or held["quantized_weight_fraction"]:
        counted |= _contents.counts(model)  # the exporter counted a network in float
    return {
        "kind": "size",
        **counted,
        **held,
        "onnx_bytes": len(data),
        "onnx_gzip_bytes": len(gzip.compress(data, compresslevel=GZIP_LEVEL, mtime=0)),
        "onnx_zstd_bytes": len(zstandard.compress(data, level=ZSTD_LEVEL)),
        "onnx_sha256": sha256_of(path),
        "input_shapes": task.input_shapes,
        **({"origin": _origin_size(work)} if "origin" in work.spec.inputs else {}),
    }


def _converted_size(work: Work, path: Path, task: TaskDescription) -> Fact:
    """Facts of the exported file, and of what the network was converted to, which is what anybody deploys."""
    size = {**_size(work, work.input("export") / ONNX_FILE, task), "onnx_sha256": sha256_of(path)}
    made: dict[str, Any] = json.loads((path.parent / CONVERSION).read_text(encoding="utf-8"))
    for name in ("layer_count", "float_layer_count"):  # told of the ONNX file alone
        size.pop(name, None)
    stored = {name: made[name] for name in ("weight_bytes_by_dtype", "quantized_weight_fraction")}
    notes = [*size.get("notes", ()), *made["notes"]]
    shipped = {"artefact": made["artefact"], "artefact_bytes": made["shipped_bytes"]}
    return {**size, **stored, **shipped, "artefact_gzip_bytes": made["shipped_gzip_bytes"], "notes": notes}


def _origin_size(work: Work) -> Fact:
    """Size facts of the uncompressed student's file, from its own evaluation."""
    facts: list[Fact] = json.loads((work.input("origin") / RECORDS).read_text(encoding="utf-8"))
    size = next(fact for fact in facts if fact["kind"] == "size")
    return {name: size[name] for name in OF_ORIGIN if name in size}
