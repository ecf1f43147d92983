"""What `kdbench try` and `kdbench init` make of a model and of data as they are named on the command line."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kdbench import registry
from kdbench.errors import KdbenchError, nearest

WEIGHTS = (".pt", ".pth", ".safetensors", ".bin")
MAX_LENGTH = 128
"""Most tokens of a text, where the model takes as many."""
TEXTS = (".tsv", ".jsonl")
"""Files that hold texts, and no table of numbers."""
TARGETS = ("y", "target", "targets", "label", "labels")
"""Names under which a file of arrays usually has what is to be predicted."""
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
"""What torchvision's published weights were trained with, on the scale 0 to 1."""
IMAGENET_SIZE = 224


class AskedWrongly(KdbenchError):
    """A model or data that the command line names, and that cannot be understood."""


@dataclass(frozen=True)
class Asked:
    """Options that say more of the data."""

    image_size: int | None = None
    grayscale: bool = False
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    target: str | None = None
    text: str | None = None


def student(model: str, architecture: str | None, weights: str | None) -> dict[str, Any]:
    """The suite's `student`: an ONNX file, a file of weights with its architecture, or a published model by name."""
    path = Path(model)
    if path.suffix == ".onnx":
        _there(path)
        for option, value in (("--model", architecture), ("--weights", weights)):
            if value is not None:
                raise AskedWrongly(f"an ONNX file brings its own network; leave {option} out.")
        return {"onnx": str(path.absolute())}
    if path.suffix in WEIGHTS:
        _there(path)
        if architecture is None:
            raise AskedWrongly(
                f"'{model}' holds weights and no network; name it with --model: file.py:Class, or a name that "
                "`kdbench list models` has."
            )
        return {"model": _model(architecture), "weights": str(path.absolute())}
    if path.is_dir():
        return {"model": _saved(path), "weights": _weights(weights or "pretrained")}
    return {"model": _published(model), "weights": _weights(weights or "DEFAULT")}


def _weights(weights: str) -> str:
    return str(Path(weights).absolute()) if Path(weights).is_file() else weights


def _saved(folder: Path) -> dict[str, Any]:
    """A model of timm or transformers that was saved in a folder."""
    try:
        said = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        text = f"'{folder}' has no config.json that timm or transformers wrote; name the model's file."
        raise AskedWrongly(text) from None
    if "architecture" in said:
        return {"timm": {"architecture": str(folder.absolute())}}
    return {"transformers": {"checkpoint": str(folder.absolute())}}


def _published(name: str) -> dict[str, Any]:
    """A torchvision model by its name."""
    from kdbench.models.torchvision import ARCHITECTURES

    if name not in ARCHITECTURES:
        if name in registry.names("model"):
            raise AskedWrongly(f"'{name}' has no weights of its own; give their file, and --model {name}.")
        raise AskedWrongly(
            f"there is no file '{name}', and torchvision has no such model. {nearest(name, ARCHITECTURES)}"
        )
    return {"torchvision": {"architecture": name}}


def _model(name: str) -> Any:
    """A model as a suite names it: of the registry, a class of a file (found from any folder), or torchvision's."""
    if registry.is_file(name):
        file, _, cls = name.rpartition(":")
        _there(Path(file))
        return f"{Path(file).absolute()}:{cls}"
    return name if name in registry.names("model") else _published(name)


def with_fields(student: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    """The student with fields of its network set."""
    if "onnx" in student:
        raise AskedWrongly("an ONNX file has no fields; leave --set out.")
    model = student["model"]
    ((name, known),) = model.items() if isinstance(model, dict) else ((model, {}),)
    return {**student, "model": {name: {**known, **fields}}}


def task(data: str, asked: Asked, shapes: Mapping[str, Sequence[int | str]], published: bool = False) -> Any:
    """The suite's `task`. shapes: an ONNX file's inputs, the examples' axis first; empty for a network."""
    if bool(asked.mean) != bool(asked.std):
        raise AskedWrongly("--mean and --std are given together, or neither.")
    if data in registry.names("task") and not Path(data).exists():
        return data
    path = _there(Path(data))
    if path.is_dir():
        return {"image_folder": _image_folder(path, asked, shapes, published)}
    if path.suffix == ".npz":
        return {"array_files": _arrays(path, asked, shapes)}
    if path.suffix in TEXTS or (path.suffix == ".csv" and asked.text):
        named = {"text": asked.text or "text", "label": asked.target or "label"}
        return {"text_file": {"file": str(path.absolute()), **named}}
    if path.suffix in (".csv", ".parquet"):
        if asked.target is None:
            raise AskedWrongly(f"'{data}' is a table; name the column that is to be predicted with --target.")
        return {"table": {"file": str(path.absolute()), "target": asked.target}}
    raise AskedWrongly(
        f"'{data}' is no data that this verb understands: a folder of images (train/CLASS/..., test/CLASS/...), an "
        ".npz file of arrays, a table (.csv, .parquet), texts (.tsv, .jsonl, .csv with --text), or a task's name "
        "(`kdbench list tasks`); any other task is "
        "written into a suite."
    )


def reads_texts(task: Any) -> bool:
    """Whether a suite's `task` is about texts."""
    return isinstance(task, dict) and "text_file" in task


def with_tokenizer_of(task: dict[str, Any], student: dict[str, Any]) -> dict[str, Any]:
    """A task of texts with the tokenizer of a student that was saved in a folder. Raises AskedWrongly without one."""
    saved = student.get("model", {})
    folder = saved["transformers"]["checkpoint"] if isinstance(saved, dict) and "transformers" in saved else None
    if folder is None:
        raise AskedWrongly("texts need the tokenizer that the model was trained with: give a folder of transformers.")
    longest = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8")).get("max_position_embeddings")
    cut = {"max_length": longest} if longest and longest < MAX_LENGTH else {}
    return {"text_file": {**task["text_file"], "tokenizer": folder, **cut}}


def _image_folder(
    path: Path, asked: Asked, shapes: Mapping[str, Sequence[int | str]], published: bool
) -> dict[str, Any]:
    axes = next(iter(shapes.values()), ())
    size, channels = asked.image_size, None
    if len(axes) == 4:
        channels = axes[1]
        size = size or next((axis for axis in axes[2:] if isinstance(axis, int)), None)
    size = size or (IMAGENET_SIZE if published else None)
    if size is None:
        raise AskedWrongly("the model does not say how large its images are; add --image-size PIXELS.")
    scaled = {"mean": list(asked.mean), "std": list(asked.std)} if asked.mean else IMAGENET if published else {}
    grey = {"grayscale": True} if asked.grayscale or channels == 1 else {}
    return {"root": str(path.absolute()), "image_size": size, **grey, **scaled}


def _arrays(path: Path, asked: Asked, shapes: Mapping[str, Sequence[int | str]]) -> dict[str, Any]:
    """The inputs and the target among a file's arrays: the inputs by the model's own names where it says them."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError) as error:
        raise AskedWrongly(f"cannot read '{path}' as arrays ({str(error).splitlines()[0]}).") from None
    chosen = asked.target or next((name for name in TARGETS if name in arrays), None)
    if chosen not in arrays:
        known = nearest(chosen or "y", arrays)
        raise AskedWrongly(f"'{path}' has no array '{chosen or 'y'}' to be predicted; name it with --target. {known}")
    inputs = [name for name in (shapes or arrays) if name != chosen]
    lacking = [name for name in inputs if name not in arrays]
    if len(shapes) == 1 and lacking:  # one input, one other array: they are the same
        others = [name for name in arrays if name != chosen]
        keyed = {inputs[0]: {"key": others[0]}} if len(others) == 1 else {}
    else:
        keyed = {name: {} for name in inputs if not lacking}
    if not keyed:
        raise AskedWrongly(f"the model takes {', '.join(shapes)}, and '{path}' has {', '.join(arrays)}; rename them.")
    if asked.mean:
        keyed = {name: {**said, "mean": list(asked.mean), "std": list(asked.std)} for name, said in keyed.items()}
    kind = "values" if arrays[chosen].dtype.kind == "f" else "classes"
    return {"file": str(path.absolute()), "inputs": keyed, "outputs": {chosen: {"kind": kind}}}


def _there(path: Path) -> Path:
    if not path.exists():
        raise AskedWrongly(f"there is no file or folder '{path}'.")
    return path
