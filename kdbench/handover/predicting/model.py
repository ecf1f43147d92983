"""The model as it was measured: opened, and run on examples in batches, padded where they differ in length."""

# mypy: disable-error-code=attr-defined
from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import numpy as np

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # else official builds report what they run to their makers

import onnxruntime

from kdbench.handover.predicting.example import FOLDER, BadInput, Example, Manifest, answering_outputs, given_inputs

Item = TypeVar("Item")


def open_model(manifest: Manifest) -> Any:
    """The model as it was measured; on the processor where its provider is not installed."""
    run = manifest["run"]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = run["threads_intra"]
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, run["graph_optimization"])
    options.use_deterministic_compute = True
    there = run["provider"] in onnxruntime.get_available_providers()
    if not there:
        print(f"{run['provider']} is not installed here; running on the CPU.", file=sys.stderr)
    provider = (run["provider"], run["provider_options"]) if there else "CPUExecutionProvider"
    return onnxruntime.InferenceSession(str(FOLDER / manifest["model"]["file"]), options, providers=[provider])


def answered(
    session: Any, examples: Iterable[Example], manifest: Manifest
) -> Iterator[tuple[Example, tuple[Any, ...]]]:
    """Each example with its outputs; those of like lengths are computed together, and come in the examples' order.

    Raises BadInput for an example of another shape than the model takes.
    """
    size, varying = manifest["run"]["batch_size"], varying_axes(manifest)
    sound = (checked(example, manifest) for example in examples)
    if not varying:
        for batch in in_batches(sound, size):
            yield from zip(batch, predict(session, batch, manifest))
        return
    everything = list(sound)
    place, axis = next(iter(varying.items()))
    lengths = [example.inputs[place].shape[axis] for example in everything]
    order = np.argsort(lengths, kind="stable")
    found: dict[int, tuple[Any, ...]] = {}
    for rows in in_batches(order.tolist(), size):
        found.update(zip(rows, predict(session, [everything[row] for row in rows], manifest)))
    for number, example in enumerate(everything):
        yield example, found[number]


def checked(example: Example, manifest: Manifest) -> Example:
    """The example itself. Raises BadInput where one of its inputs has another shape than the model takes."""
    for one, array in zip(given_inputs(manifest), example.inputs):
        shape = one["axes"]
        fits = len(shape) == array.ndim and all(
            isinstance(axis, str) or axis == size for axis, size in zip(shape, array.shape)
        )
        if not fits:
            wanted = " x ".join(map(str, shape)) or "a single number"
            raise BadInput(
                f"{example.name}: {one['name']} is {' x '.join(map(str, array.shape)) or 'a single number'}, and the "
                f"model takes {wanted}."
            )
    return example


def varying_axes(manifest: Manifest) -> dict[int, int]:
    """Place of a given input -> which of its axes varies, for those of which one does."""
    given = [one["axes"] for one in given_inputs(manifest)]
    named = [[place for place, axis in enumerate(axes) if isinstance(axis, str)] for axes in given]
    return {number: places[0] for number, places in enumerate(named) if places}


def predict(session: Any, batch: list[Example], manifest: Manifest) -> list[tuple[Any, ...]]:
    """Every example's outputs, without what is padding."""
    lengths: dict[str, Any] = {}
    sizes: dict[str, int] = {}
    multiples = {axis["name"]: axis["multiple"] for axis in manifest.get("axes", ())}
    feed = {}
    for number, one in enumerate(given_inputs(manifest)):
        arrays = [example.inputs[number] for example in batch]
        place = varying_axes(manifest).get(number)
        if place is not None:
            axis = one["axes"][place]
            lengths[axis] = np.array([array.shape[place] for array in arrays])
            sizes[axis] = -(-int(lengths[axis].max()) // multiples[axis]) * multiples[axis]
            arrays = [padded(array, place, sizes[axis], one["padding"]) for array in arrays]
        stored = np.stack(arrays)
        feed[one["name"]] = (
            preprocess(stored, one["preprocessing"]) if "preprocessing" in one else stored.astype(one["type"])
        )
    for one in manifest["inputs"]:
        if one["name"] not in feed:
            own = lengths[one["covers"]]
            real = np.arange(sizes[one["covers"]]) < own[:, None]
            feed[one["name"]] = (real if one["role"] == "mask" else own).astype(one["type"])
    outputs = answering_outputs(manifest)
    found = session.run([one["name"] for one in outputs], feed)
    ends = [[None] * len(batch) if "varies_with" not in one else frames(lengths, one) for one in outputs]
    return [tuple(array[row][: end[row]] for array, end in zip(found, ends)) for row in range(len(batch))]


def padded(array: Any, place: int, size: int, padding: float) -> Any:
    """An example with `padding` behind its end along one axis."""
    widths = [(0, size - array.shape[place] if axis == place else 0) for axis in range(array.ndim)]
    return np.pad(array, widths, constant_values=padding)


def frames(lengths: dict[str, Any], one: dict[str, Any]) -> list[int]:
    """How many places of an output are each example's own."""
    found: list[int] = (-(-lengths[one["varies_with"]] // one["subsampling"])).tolist()
    return found


def preprocess(stored: Any, rule: dict[str, Any]) -> Any:
    """(x * scale - mean) / std as float32, mean and std per channel (axis 1)."""
    shape = (1, -1) + (1,) * (stored.ndim - 2)
    mean, std = (np.asarray(rule[name], np.float32).reshape(shape) for name in ("mean", "std"))
    return (stored.astype(np.float32) * np.float32(rule["scale"]) - mean) / std


def in_batches(examples: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """The examples in order; a dynamically quantized model answers a batch as a whole, so its size matters."""
    rest = iter(examples)
    while batch := list(itertools.islice(rest, size)):
        yield batch
