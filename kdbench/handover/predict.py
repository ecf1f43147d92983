"""Classify with the model beside this file, prepared and run as when it was measured.

    python predict.py IMAGE_OR_FOLDER ...   where manifest.json has "image": the class of each image; for a folder
                                            that holds a folder a class, how often the model is right
    python predict.py [INPUTS.npz ...]      else: how often it is right on stored inputs, inputs.npz by default

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
from typing import Any, NamedTuple

import numpy as np

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # else official builds report what they run to their makers

import onnxruntime

HERE = Path(__file__).resolve().parent
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF")
"""What a file may hold, whatever its name says. Others start programs (EPS: Ghostscript)."""
UNREADABLE = (
    *(OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, AttributeError, ArithmeticError),
    *(RuntimeError, MemoryError, struct.error, zlib.error),
)
"""What Pillow raises for files that are torn or odd."""


class Example(NamedTuple):
    """One input of each kind the model takes, as stored; the place of its class, where that is known."""

    name: str
    inputs: tuple[Any, ...]
    target: int | None


def main(arguments: list[str]) -> None:
    manifest = json.loads((HERE / "manifest.json").read_text(encoding="utf-8"))
    examples = read_images(arguments, manifest) if "image" in manifest else read_arrays(arguments, manifest)
    session = open_model(manifest)
    right = count = 0
    for batch in in_batches(examples, manifest["run"]["batch_size"]):
        scores = predict(session, batch, manifest)
        for place, example in enumerate(batch):
            best = int(scores[place].argmax())
            if example.target is None:
                print(f"{example.name}\t{manifest['class_names'][best]}\t{chances(scores[place])[best]:.3f}")
            else:
                count, right = count + 1, right + (best == example.target)
    if count:
        then = manifest["measured"][0]
        test = then["accuracy"]["test"]
        print(f"accuracy {right / count:.4f} ({right} of {count})")
        print(f"recorded {test['value']:.4f} ({test['correct_count']} of {test['example_count']}) on {then['target']}")


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


def predict(session: Any, batch: list[Example], manifest: dict[str, Any]) -> Any:
    """Scores (B, classes) of a batch."""
    feed = {
        value["name"]: preprocess(np.stack([example.inputs[place] for example in batch]), manifest["preprocessing"])
        for place, value in enumerate(manifest["inputs"])
    }
    return session.run([manifest["outputs"][0]["name"]], feed)[0]


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


def in_batches(examples: Iterable[Example], size: int) -> Iterator[list[Example]]:
    """The examples in order; a dynamically quantized model answers a batch as a whole, so its size matters."""
    rest = iter(examples)
    while batch := list(itertools.islice(rest, size)):
        yield batch


def read_arrays(paths: list[str], manifest: dict[str, Any]) -> Iterator[Example]:
    """Every example of .npz files with an array (N, ...) an input, by its name, and `targets`."""
    for path in paths or [str(HERE / "inputs.npz")]:
        with np.load(path) as arrays:
            inputs = [arrays[value["name"]] for value in manifest["inputs"]]
            targets = arrays["targets"]
        for number in range(len(targets)):
            yield Example(f"{path}[{number}]", tuple(array[number] for array in inputs), int(targets[number]))


def read_images(paths: list[str], manifest: dict[str, Any]) -> Iterator[Example]:
    """Every readable image; the others are named on stderr."""
    found = [image for path in paths for image in find_images(Path(path), manifest["class_names"])]
    for path, target in found or sys.exit(__doc__):
        try:
            yield Example(str(path), (read_image(path, manifest["image"]),), target)
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
