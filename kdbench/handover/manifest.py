"""manifest.json of a model that is handed over: its inputs and outputs, what was measured, where it comes from."""

from typing import Any

import numpy as np

from kdbench.errors import KdbenchError, StoreError
from kdbench.evidence import Results
from kdbench.evidence.latency import latency_view
from kdbench.handover.chosen import Chosen
from kdbench.handover.program import raw_form
from kdbench.measure import jobs
from kdbench.measure.providers import PROVIDERS
from kdbench.measure.session_spec import GRAPH_OPTIMIZATIONS, SessionSpec
from kdbench.protocols import Input, Output, TaskDescription
from kdbench.results.records import Environment, Latency, Memory, Score
from kdbench.results.task_json import KeptTask
from kdbench.results.trust import Confirmed
from kdbench.scale import ACCURACY

SCHEMA = 1
MODEL_FILE, MANIFEST_FILE, INPUTS_FILE = "model.onnx", "manifest.json", "inputs.npz"
COMPANIONS = "task"
"""The folder of what the task's models are of no use without."""

FORMULA = "(x * scale - mean) / std as float32, mean and std per channel (axis 1)"
IMAGE_RULE = (
    "upright as EXIF says; RGB (3 channels) or grey (1), 0 to 255; where it is not size x size, the shorter side is "
    "brought to size by Pillow's filter `resize` and the longer one cut, `crop_centre` of it left of and above the "
    "rest; channels first"
)

Json = dict[str, Any]


def manifest(results: Results, task: KeptTask, chosen: Chosen, confirmed: Confirmed) -> Json:
    """The manifest as JSON data; what is not known is left out.

    Raises StoreError where the records have no test accuracy of the file.
    """
    inputs, outputs = _ends(chosen, task.description)
    known: Json = {
        "schema": SCHEMA,
        "suite": results.plan.suite,
        "case": chosen.size.case,
        "seed": chosen.size.seed,
        "chosen": chosen.how,
        "steps": chosen.size.steps,
        "model": _model(chosen),
        "inputs": inputs,
        "outputs": outputs,
        "preprocessing": {"formula": FORMULA, **task.description.inputs[0].preprocessing.model_dump(mode="json")},
        "image": {"rule": IMAGE_RULE, **task.image_form.model_dump(mode="json")} if task.image_form else None,
        "reads": raw_form(task),
        "class_names": task.description.class_names,
        "axes": [axis.model_dump(mode="json") for axis in task.description.axes] or None,
        "run": _run(results, chosen.targets[0], confirmed),
        "measured": [_measured(results, chosen, target) for target in chosen.targets],
        "data": _data(task),
        "lineage": chosen.size.lineage,
        "versions": results.plan.versions,
    }
    return {name: _without_missing(value) for name, value in known.items() if value is not None}


def _model(chosen: Chosen) -> Json:
    size = chosen.size
    return {
        "file": MODEL_FILE,
        "sha256": size.onnx_sha256,
        "bytes": size.onnx_bytes,
        "gzip_bytes": size.onnx_gzip_bytes,
        "parameter_count": size.parameter_count,
        "mac_count": size.mac_count,
        "mac_rule": size.mac_rule,
    }


def _ends(chosen: Chosen, task: TaskDescription) -> tuple[list[Json], list[Json]]:
    """Name, shape and type of each input and output, from the file itself; what it means, from the task."""
    import onnx

    graph = onnx.load(chosen.path).graph
    weights = {tensor.name for tensor in graph.initializer}
    meant = {one.name: _input(one) for one in task.inputs}
    inputs = [{**_value(v), **meant.get(v.name, {})} for v in graph.input if v.name not in weights]
    outputs = [_value(value) for value in graph.output]
    for said, one in zip(outputs, task.outputs, strict=False):
        said.update(_output(one))
    return inputs, outputs


def _input(one: Input) -> Json:
    """What it is: `values` and `segments` are given, `mask` and `lengths` are made of how long each example is."""
    said: Json = {"role": one.role, "axes": one.axes}
    if one.symbolic:
        said["padding"] = one.padding
    if one.covers or not one.stored:
        said["covers"] = one.covers or one.symbolic
    if one.values is not None:
        said["values"] = one.values
    if one.stored and one.dtype == "float32":
        said["preprocessing"] = one.preprocessing.model_dump(mode="json")
    return said


def _output(one: Output) -> Json:
    """What it decides; `varies_with` is the input axis that its axis 1 follows, ceil(n / subsampling)."""
    known: Json = {"output": one.name, "kind": one.kind, "class_names": list(one.class_names) or None}
    known |= {"value_names": list(one.value_names) or None, "unit": one.unit or None, "ignore": one.ignore}
    if one.kind == "sequence":
        known["blank"] = one.blank
    axis = one.frames if one.kind == "sequence" else next((a for a in one.axes if isinstance(a, str)), None)
    if axis:
        known |= {"varies_with": axis, "subsampling": one.subsampling}
    return known


def _value(value: Any) -> Json:
    from onnx import helper

    tensor = value.type.tensor_type
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    shape = [axis.dim_param or axis.dim_value for axis in tensor.shape.dim]
    return {"name": value.name, "shape": shape, "type": dtype.name}


def _run(results: Results, target: str, confirmed: Confirmed) -> Json:
    """How the file was run when its accuracy was taken. The batch size matters: dynamic quantization takes its ranges
    from the whole batch."""
    from kdbench.stages.evaluate import PREDICTION_BATCH

    session = _session(results, target, confirmed)
    return {
        "batch_size": PREDICTION_BATCH,
        "provider": session.provider_asked,
        "provider_options": session.provider_options(),
        "threads_intra": session.threads_intra,
        "graph_optimization": GRAPH_OPTIMIZATIONS[session.graph_optimization],
        **({"measured_in": other} if (other := _other_runtime(results, target, confirmed)) else {}),
    }


def _other_runtime(results: Results, target: str, confirmed: Confirmed) -> str | None:
    """The runtime of a target that names one beside onnxruntime; `predict.py` runs the file in onnxruntime all the
    same, on the processor."""
    return confirmed.session(target, results.plan.measured(target), str(results.folder)).get("runtime")


def _session(results: Results, target: str, confirmed: Confirmed) -> SessionSpec:
    """The session of a target as the run noted it; else that of any timing on the target, else a plain one.

    Of a target with a runtime of its own, a plain one with its threads.

    Raises StoreError for one that the user must confirm, or that is none.
    """
    asked = confirmed.session(target, results.plan.measured(target), str(results.folder))
    if asked.get("runtime"):
        return SessionSpec(threads_intra=int(asked.get("threads_intra", 1)))
    if asked:
        try:
            return jobs.make_job({"schema": jobs.SCHEMA, "action": "describe", **asked}).session
        except KdbenchError as error:
            place = f"plan.json of '{results.folder}': measure.{target}.session"
            raise StoreError(f"{place}: {error} Run the suite again.") from None
    timed = next((record for record in results.of(Latency) if record.target == target), None)
    if timed is None:
        return SessionSpec()
    names = {theirs: ours for ours, theirs in PROVIDERS.items()}
    return SessionSpec(
        provider=names.get(timed.provider_asked, "cpu"),
        threads_intra=timed.threads_intra or 1,
        graph_optimization=timed.graph_optimization or "all",
        precision=timed.precision or "fp32",
    )


def _measured(results: Results, chosen: Chosen, target: str) -> Json:
    """What was measured on one target: accuracy by split, latency and memory by batch size; the device, the date."""
    case, seed = chosen.size.case, chosen.size.seed
    accuracy = [r for r in results.scores(case) if (r.seed, r.target) == (seed, target)]
    scores = [r for r in results.of(Score, case) if (r.seed, r.target, r.split) == (seed, target, "test")]
    latency = [r for r in results.of(Latency, case) if (r.seed, r.target) == (seed, target)]
    memory = [r for r in results.of(Memory, case) if (r.seed, r.target) == (seed, target)]
    if not any(record.split == "test" for record in accuracy):
        raise StoreError(f"'{results.folder}' has no test accuracy of {case}, seed {seed}, on {target}; run it again.")
    dates = [record.created_utc for record in (*accuracy, *latency) if record.created_utc]
    return {
        "target": target,
        "device": _device(results, {record.fingerprint for record in latency}),
        "runtime": accuracy[0].runtime,
        "date_utc": max(dates, default=None),
        "accuracy": {record.split: _accuracy(record) for record in accuracy},
        "scores": [_score(record) for record in scores],
        "latency": [_latency(record) for record in latency],
        "memory": [_memory(record) for record in memory],
    }


def _accuracy(record: Score) -> Json:
    other = {} if record.metric == ACCURACY else {"metric": record.metric, "unit": record.unit}
    return {
        **other,
        "value": record.value,
        "correct_count": record.correct_count,
        "example_count": record.example_count,
    }


def _score(record: Score) -> Json:
    """One metric of one output on the test split."""
    return {"output": record.output or None, "metric": record.metric, "value": record.value}


def _latency(record: Latency) -> Json:
    view = latency_view([record], None)
    return {
        "batch_size": record.batch_size,
        "lengths": record.lengths or None,
        "threads_intra": record.threads_intra,
        "p50_ns": round(view.p50_ns.value),
        "p90_ns": None if view.p90_ns is None else round(view.p90_ns),
        "process_count": len(view.processes),
        "sample_count": sum(map(len, view.processes)),
        "warnings": view.warnings,
    }


def _memory(record: Memory) -> Json:
    at = {"batch_size": record.batch_size, "lengths": record.lengths or None}
    return {**at, "peak_rss_bytes": record.peak_rss_bytes}


def _device(results: Results, fingerprints: set[str | None]) -> Json | None:
    known = [record for record in results.of(Environment) if record.fingerprint in fingerprints]
    return {"fingerprint": known[0].fingerprint, **known[0].facts} if known else None


def _data(task: KeptTask) -> Json:
    return {
        "task": task.name,
        "origin": task.origin or None,
        "example_counts": task.description.example_counts,
        "notes": task.description.notes,
        "settings": task.description.settings or None,
        "key": task.data_key,
    }


def _without_missing(data: Any) -> Any:
    """The data without what is None, at any depth: missing is absent."""
    if isinstance(data, dict):
        return {name: _without_missing(value) for name, value in data.items() if value is not None}
    return [_without_missing(value) for value in data] if isinstance(data, list | tuple) else data
