"""Predict with the model beside this file, prepared and run as when it was measured.

    python predict.py IMAGE_OR_FOLDER ...   where manifest.json has "image": what the model says of each image; for a
                                            folder that holds a folder a class, how often it is right
    python predict.py [INPUTS.npz ...]      else: how well it does on stored inputs, inputs.npz by default; without
                                            targets in the file, what it says of each example

Needs numpy and onnxruntime, and Pillow for images.
"""

# mypy: disable-error-code=attr-defined
from __future__ import annotations

import itertools
import json
import os
import struct
import sys
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # else official builds report what they run to their makers

import onnxruntime

HERE = Path(__file__).resolve().parent
Item = TypeVar("Item")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF")
"""What a file may hold, whatever its name says. Others start programs (EPS: Ghostscript)."""
UNREADABLE = (
    *(OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, AttributeError, ArithmeticError),
    *(RuntimeError, MemoryError, struct.error, zlib.error),
)
"""What Pillow raises for files that are torn or odd."""


class Example(NamedTuple):
    """The inputs that are given, in the manifest's order, as stored; the true answer of each output, where known."""

    name: str
    inputs: tuple[Any, ...]
    targets: tuple[Any, ...] | None


def main(arguments: list[str]) -> None:
    manifest = json.loads((HERE / "manifest.json").read_text(encoding="utf-8"))
    examples = read_images(arguments, manifest) if "image" in manifest else read_arrays(arguments, manifest)
    outputs = [one for one in manifest["outputs"] if "kind" in one]
    judged: list[tuple[list[Any], tuple[Any, ...]]] = []
    for example, answers in answered(open_model(manifest), examples, manifest):
        if example.targets is None:
            print(example.name, *map(told, outputs, answers), sep="\t")
        else:
            judged.append(([decided(one, answer) for one, answer in zip(outputs, answers)], example.targets))
    for number, one in enumerate(outputs if judged else []):
        decisions = [row[0][number] for row in judged if number < len(row[1])]
        targets = [row[1][number] for row in judged if number < len(row[1])]
        if targets and one["kind"] in SCORES:
            print_score(one, number, decisions, targets, manifest["measured"][0])


def print_score(
    one: dict[str, Any], number: int, decisions: list[Any], targets: list[Any], then: dict[str, Any]
) -> None:
    """How well an output does here, and how well it did when it was measured."""
    name, score = SCORES[one["kind"]]
    value, of = score(decisions, targets, one.get("ignore")), f" of {one['output']}" if number else ""
    here, recorded = "", ""
    test = then["accuracy"]["test"]
    if name == "accuracy":
        here = f" ({round(value * len(targets))} of {len(targets)})"
        if not number and test.get("correct_count") is not None:
            recorded = f" ({test['correct_count']} of {test['example_count']})"
    print(f"{name}{of} {value:.4f}{here}")
    own = one["output"] if number else None
    scores = [s for s in then.get("scores", ()) if (s.get("output") or None, s["metric"]) == (own, name)]
    for score_then in scores[:1]:
        print(f"recorded {score_then['value']:.4f}{recorded} on {then['target']}")


def open_model(manifest: dict[str, Any]) -> Any:
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
    return onnxruntime.InferenceSession(str(HERE / manifest["model"]["file"]), options, providers=[provider])


def answered(
    session: Any, examples: Iterable[Example], manifest: dict[str, Any]
) -> Iterator[tuple[Example, tuple[Any, ...]]]:
    """Each example with its outputs; those of like lengths are computed together, and come in the examples' order."""
    size, varying = manifest["run"]["batch_size"], varying_axes(manifest)
    if not varying:
        for batch in in_batches(examples, size):
            yield from zip(batch, predict(session, batch, manifest))
        return
    everything = list(examples)
    place, axis = next(iter(varying.items()))
    lengths = [example.inputs[place].shape[axis] for example in everything]
    order = np.argsort(lengths, kind="stable")
    found: dict[int, tuple[Any, ...]] = {}
    for rows in in_batches(order.tolist(), size):
        found.update(zip(rows, predict(session, [everything[row] for row in rows], manifest)))
    for number, example in enumerate(everything):
        yield example, found[number]


def given_inputs(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """The inputs that are given; masks and lengths are made."""
    return [one for one in manifest["inputs"] if one.get("role", "values") in ("values", "segments")]


def varying_axes(manifest: dict[str, Any]) -> dict[int, int]:
    """Place of a given input -> which of its axes varies, for those of which one does."""
    given = [one["axes"] for one in given_inputs(manifest)]
    named = [[place for place, axis in enumerate(axes) if isinstance(axis, str)] for axes in given]
    return {number: places[0] for number, places in enumerate(named) if places}


def predict(session: Any, batch: list[Example], manifest: dict[str, Any]) -> list[tuple[Any, ...]]:
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
    outputs = [one for one in manifest["outputs"] if "kind" in one]
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


def decided(one: dict[str, Any], answer: Any) -> Any:
    """What an example's output decides."""
    kind = one["kind"]
    if kind in ("classes", "dense_classes"):
        return answer.argmax(0)
    if kind == "multilabel":
        return answer > 0
    if kind not in ("token_classes", "sequence"):
        return answer
    symbols = answer.argmax(-1)
    if kind == "token_classes":
        return symbols
    kept = np.concatenate([symbols[:1], symbols[1:][symbols[1:] != symbols[:-1]]])
    return kept[kept != one["blank"]]


def told(one: dict[str, Any], answer: Any) -> str:
    """An example's output in words, by its kind."""
    names, decision = one.get("class_names", ()), decided(one, answer)
    if one["kind"] == "classes":
        return f"{names[decision]}\t{chances(answer)[decision]:.3f}"
    if one["kind"] == "multilabel":
        likely = 1 / (1 + np.exp(-answer.astype(np.float64)))
        return ", ".join(f"{names[k]} {likely[k]:.3f}" for k in np.flatnonzero(decision)) or "none"
    if one["kind"] == "dense_classes":
        shares = np.bincount(decision.ravel(), minlength=len(names)) / decision.size
        return ", ".join(f"{names[k]} {shares[k]:.1%}" for k in np.argsort(-shares) if shares[k] > 0)
    if one["kind"] in ("token_classes", "sequence"):
        words = [names[k] for k in decision]
        return ("" if one["kind"] == "sequence" and all(len(name) == 1 for name in names) else " ").join(words)
    labels = one.get("value_names") or [""] * len(answer)
    unit = f" {one['unit']}" if one.get("unit") else ""
    return ", ".join(f"{label} {value:.6g}{unit}".strip() for label, value in zip(labels, answer.tolist()))


def accuracy(decisions: list[Any], targets: list[Any], ignore: int | None) -> float:
    """The share of examples with the true class."""
    return float(np.mean([int(a) == int(b) for a, b in zip(decisions, targets)]))


def rmse(decisions: list[Any], targets: list[Any], ignore: int | None) -> float:
    """The root of the mean squared error."""
    apart = np.asarray(decisions, np.float64) - np.asarray(targets, np.float64)
    return float(np.sqrt(np.square(apart).mean()))


def macro_f1(decisions: list[Any], targets: list[Any], ignore: int | None) -> float:
    """The mean over classes or labels that are true somewhere of 2 x right / (answered + true)."""
    answered, true, right = counted(decisions, targets, ignore)
    present = true > 0
    return float((2 * right[present] / (answered + true)[present]).mean())


def mean_iou(decisions: list[Any], targets: list[Any], ignore: int | None) -> float:
    """The mean over classes that are true somewhere of right / (answered + true - right)."""
    answered, true, right = counted(decisions, targets, ignore)
    present = true > 0
    return float((right[present] / (answered + true - right)[present]).mean())


def counted(decisions: list[Any], targets: list[Any], ignore: int | None) -> tuple[Any, Any, Any]:
    """How often each class is answered, is true, and is both; places with the ignored target do not count."""
    if np.asarray(decisions[0]).dtype == bool:
        labels, wanted = np.array(decisions), np.array(targets) > 0
        return labels.sum(0), wanted.sum(0), (labels & wanted).sum(0)
    a, b = (np.concatenate([np.ravel(row) for row in rows]).astype(np.int64) for rows in (decisions, targets))
    kept = np.ones(len(b), bool) if ignore is None else b != ignore
    a, b = a[kept], b[kept]
    count = int(max(a.max(), b.max())) + 1
    return tuple(np.bincount(places, minlength=count) for places in (a, b, a[a == b]))  # type: ignore[return-value]


def token_error_rate(decisions: list[Any], targets: list[Any], ignore: int | None) -> float:
    """Symbols to be inserted, deleted or replaced, over the symbols of the truth (Levenshtein 1966)."""
    edits = 0
    for answered_row, true in zip(decisions, targets):
        costs = list(range(len(true) + 1))
        for symbol in answered_row:
            before, costs[0] = costs[0], costs[0] + 1
            for place, wanted in enumerate(true, start=1):
                best = min(costs[place] + 1, costs[place - 1] + 1, before + (symbol != wanted))
                before, costs[place] = costs[place], best
        edits += costs[-1]
    return edits / sum(map(len, targets))


SCORES = {
    "classes": ("accuracy", accuracy),
    "multilabel": ("macro_f1", macro_f1),
    "values": ("rmse", rmse),
    "dense_classes": ("mean_iou", mean_iou),
    "token_classes": ("macro_f1", macro_f1),
    "sequence": ("token_error_rate", token_error_rate),
}
"""By kind of output: the score that is computed here, by its name in records."""


def chances(scores: Any) -> Any:
    """Probabilities from logits (classes,); trees and neighbours give probabilities by themselves."""
    if (scores >= 0).all() and abs(scores.sum() - 1) < 1e-3:
        return scores
    raised = np.exp(scores - scores.max())
    return raised / raised.sum()


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


def read_arrays(paths: list[str], manifest: dict[str, Any]) -> Iterator[Example]:
    """Every example of .npz files with an array (N, ...) an input, by its name, and `targets` where they are known."""
    outputs = [one for one in manifest["outputs"] if "kind" in one]
    axes = [varying_axes(manifest).get(number) for number in range(len(given_inputs(manifest)))]
    for path in paths or [str(HERE / "inputs.npz")]:
        with np.load(path) as arrays:
            given = [stored_rows(arrays, one["name"]) for one in given_inputs(manifest)]
            given = [
                rows if axis is None else [np.moveaxis(row, 0, axis) for row in rows] for rows, axis in zip(given, axes)
            ]
            names = [name for number, one in enumerate(outputs) if (name := targets_name(one, number)) in arrays]
            targets = [stored_rows(arrays, name) for name in names]
        for number in range(len(given[0])):
            true = tuple(rows[number] for rows in targets) if targets else None
            yield Example(f"{path}[{number}]", tuple(rows[number] for rows in given), true)


def targets_name(one: dict[str, Any], number: int) -> str:
    """The entry of an .npz that holds an output's true answers."""
    return f"targets.{one['output']}" if number else "targets"


def stored_rows(arrays: Any, name: str) -> Any:
    """An array (N, ...), or where there are offsets N arrays (length, ...) that lie end to end."""
    array = arrays[name]
    if f"{name}_offsets" not in arrays:
        return array
    borders = arrays[f"{name}_offsets"]
    return [array[begin:end] for begin, end in zip(borders[:-1], borders[1:])]


def read_images(paths: list[str], manifest: dict[str, Any]) -> Iterator[Example]:
    """Every readable image; the others are named on stderr."""
    labels = manifest["class_names"] if manifest["outputs"][0]["kind"] == "classes" else []
    found = [image for path in paths for image in find_images(Path(path), labels)]
    for path, target in found or sys.exit(__doc__):
        try:
            yield Example(str(path), (read_image(path, manifest["image"]),), None if target is None else (target,))
        except UNREADABLE as error:
            print(f"{path} is left out: {error}", file=sys.stderr)


def find_images(path: Path, class_names: list[str]) -> list[tuple[Path, int | None]]:
    """A file; or a folder's images, by class where it holds folders of that name."""
    if not path.is_dir():
        return [(path, None)]
    found: list[tuple[Path, int | None]] = []
    for label, name in enumerate(class_names):
        found += [(file, label) for file in images_in(path / name)]
    found = found or [(file, None) for file in images_in(path)]
    return found or sys.exit(f"no image lies in {path}, nor in a folder of a class there ({', '.join(class_names)})")


def images_in(folder: Path) -> list[Path]:
    files = folder.iterdir() if folder.is_dir() else ()
    found = (file for file in files if file.name.lower().endswith(SUFFIXES) and not file.name.startswith("."))
    return sorted(found, key=lambda file: file.name)


def read_image(path: Path, form: dict[str, Any]) -> Any:
    """uint8 (channels, size, size): upright, RGB or grey, resized on the shorter side and cut where sizes differ."""
    from PIL import Image, ImageOps

    if not path.is_file():
        raise ValueError("it is no regular file")
    Image.init()
    try:
        with Image.open(path, formats=[name for name in FORMATS if name in Image.OPEN]) as image:
            if image.mode.startswith(("I", "F")):
                raise ValueError(f"mode {image.mode} has more than 8 bits a channel")
            picture = upright(image).convert("L" if form["channels"] == 1 else "RGB")
    except Image.DecompressionBombError as error:
        raise ValueError(str(error)) from None
    size = (form["size"], form["size"])
    if picture.size != size:
        method = Image.Resampling[form["resize"].upper()]
        picture = ImageOps.fit(picture, size, method, centering=tuple(form["crop_centre"]))
    pixels = np.asarray(picture)
    return pixels[np.newaxis] if form["channels"] == 1 else pixels.transpose(2, 0, 1)


def upright(image: Any) -> Any:
    """The picture as its EXIF orientation says; whatever else its metadata holds does not matter."""
    from PIL.Image import Transpose

    try:
        orientation = image.getexif().get(0x0112, 1)
    except UNREADABLE:
        orientation = 1
    turns = ("FLIP_LEFT_RIGHT", "ROTATE_180", "FLIP_TOP_BOTTOM", "TRANSPOSE", "ROTATE_270", "TRANSVERSE", "ROTATE_90")
    if orientation not in range(2, 9):
        return image
    return image.transpose(Transpose[turns[int(orientation) - 2]])


if __name__ == "__main__":
    main(sys.argv[1:])
