"""The contract of runtimes as tests, run in processes of the measuring program as a run starts them."""

import ast
import inspect
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kdbench.errors import MeasureError
from kdbench.files import sha256_of
from kdbench.measure.carried import find_runtime
from kdbench.measure.client import Client
from kdbench.measure.runtimes.contract import Runtime
from kdbench.measure.runtimes.onnxruntime import Onnxruntime, OnnxruntimeSession
from kdbench.measure.runtimes.tiny_model import TINY_SHAPE
from kdbench.measure.runtimes.torch import Torch
from kdbench.measure.session_spec import SessionSpec

ARTEFACTS = ("onnx", "pt2")
"""Forms of file that kdbench makes of a network."""
OLDEST_PYTHON = (3, 9)
TRAVELS = {"__future__", "numpy", "kdbench.errors", "kdbench.measure"}
"""Modules that every interpreter which measures has, beside the standard library and kdbench.measure."""


def check_runtime(
    name: str, python: str | None = None, providers: Sequence[str] | None = None, converter: str | None = None
) -> None:
    """The whole contract of a runtime, in fresh processes of the measuring program. Takes a few seconds a provider.

    `name`: as it is registered, or `file.py:Class`. `python`: the interpreter that has its library, where it is not
    this one. `providers`: those that work on this machine, by short name; all that it declares where left out.
    `converter`: the interpreter that makes its files, where it reads others than kdbench writes; `python` by default.
    """
    found = find_runtime(name)
    cls = found.cls
    assert inspect.getdoc(cls), f"{cls.__name__} has no docstring."
    begins = cls.made_from or cls.artefact
    assert begins in ARTEFACTS, f"{cls.__name__} begins with .{begins}; kdbench makes .{' and .'.join(ARTEFACTS)}."
    assert cls.providers, f"{cls.__name__} declares no provider."
    for text in found.carried.files.values():
        _check_declaration(cls.__name__, text.decode())
    with tempfile.TemporaryDirectory() as folder:
        for provider in cls.providers if providers is None else providers:
            _check_provider(name, cls, provider, python, Path(folder) / provider)
            if cls.made_from:
                _check_conversion(name, cls, provider, (python, converter or python), Path(folder) / f"{provider}-made")


def _check_declaration(name: str, text: str) -> None:
    """The module of a runtime's class runs on old interpreters and loads no library before it must."""
    tree = ast.parse(text, feature_version=OLDEST_PYTHON)
    for node in ast.iter_child_nodes(tree):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for module in modules:
            is_known = module.partition(".")[0] in sys.stdlib_module_names or module in TRAVELS
            said = f"{name} imports {module} where it is declared: import it inside functions."
            assert is_known or module.startswith("kdbench.measure."), said


def _check_provider(name: str, cls: type[Runtime], provider: str, python: str | None, folder: Path) -> None:
    shown = f"{cls.__name__} on {provider}"
    client = Client(folder, {"provider": provider, "runtime": name, "precision": _precision(cls, provider)}, python)
    said = client.describe()["runtime"]
    assert said == cls.name, f"{shown} says that it is {said}, not {cls.name}."
    model, inputs = folder / f"tiny.{cls.artefact}", folder / "inputs.npz"
    cls().write_tiny(model)
    example = np.linspace(-1, 1, int(np.prod(TINY_SHAPE)), dtype=np.float32).reshape(TINY_SHAPE)
    np.savez(inputs, x=example)
    digest = sha256_of(model)
    predicted = client.predict({digest: model}, inputs, 1)[digest]
    assert not isinstance(predicted, MeasureError), f"{shown} does not run the tiny model: {predicted}"
    logits = np.asarray(predicted.outputs()[0])
    if cls.artefact == "onnx":
        expected = OnnxruntimeSession(str(model), SessionSpec()).run({"x": example})[0]
        furthest = float(np.abs(logits - expected).max())
        limit = 1e-2 * float(np.abs(expected).max())
        assert furthest <= limit, f"{shown} answers otherwise than onnxruntime does: {furthest:g} apart."
    proof = client.prove({digest: model}, inputs, [1])[digest]
    assert not isinstance(proof, MeasureError), f"{shown} does not prove what it ran: {proof}"
    ran = proof.by_batch[1].node_count_by_provider
    assert ran.get(proof.provider_asked), f"{shown} was asked for {proof.provider_asked} and ran {dict(ran)}."
    quick = {"round_call_count": 5, "min_calls": 10, "min_ns": 0}
    timed = client.time({digest: model}, inputs, [1], 0, quick).files[digest]
    assert not isinstance(timed, MeasureError), f"{shown} cannot be timed: {timed}"
    answers = {tuple(batch) for batch in timed.by_batch[1].classes or ()}
    assert answers == {tuple(logits.argmax(1))}, f"{shown} answers otherwise while it is timed."
    broken = folder / f"broken.{cls.artefact}"
    broken.write_bytes(b"no model at all")
    refused = client.predict({sha256_of(broken): broken}, inputs, 1)[sha256_of(broken)]
    assert isinstance(refused, MeasureError), f"{shown} takes a file that is no model."
    assert str(broken) in str(refused), f"{shown} does not name the file that it refuses: {refused}"


def _check_conversion(
    name: str, cls: type[Runtime], provider: str, pythons: tuple[str | None, str | None], folder: Path
) -> None:
    """A file that the runtime makes answers as the one that it was made of, in batches of one and of more."""
    session = {"provider": provider, "runtime": name, "precision": _precision(cls, provider)}
    running, making = (Client(folder, session, python) for python in pythons)
    assert making.converter(), f"{cls.__name__} does not say which packages decide what it makes."
    source, inputs = folder / f"source.{cls.made_from}", folder / "inputs.npz"
    reader = Onnxruntime() if cls.made_from == "onnx" else Torch()
    reader.write_tiny(source)
    example = np.random.default_rng(0).normal(size=(5, *TINY_SHAPE[1:])).astype(np.float32)
    np.savez(inputs, x=example)
    made = making.convert({sha256_of(source): source}, inputs, [1, 4], {}, {}, folder / "made")
    model = folder / "made" / made.path
    assert made.path == f"model.{cls.artefact}", f"{cls.__name__} makes {made.path}, not model.{cls.artefact}."
    plain = reader.load(str(source), SessionSpec("cpu" if cls.made_from == "onnx" else "torch"))
    expected = np.concatenate([plain.run({"x": example[row : row + 1]})[0] for row in range(len(example))])
    size = 1 if cls.made_from == "onnx" else 4  # the tiny ONNX file takes one example
    predicted = running.predict({sha256_of(model): model}, inputs, size)[sha256_of(model)]
    assert not isinstance(predicted, MeasureError), f"{cls.__name__} does not run what it made: {predicted}"
    furthest = float(np.abs(np.asarray(predicted.outputs()[0]) - expected).max())
    limit = 1e-2 * float(np.abs(expected).max())
    assert furthest <= limit, f"{cls.__name__} makes files that answer otherwise than their source: {furthest:g} apart."


def _precision(cls: type[Runtime], provider: str) -> str:
    """The one that comes nearest to what the tiny model is compared with."""
    offered = list(cls.providers[provider].precisions)
    return "fp32" if "fp32" in offered else offered[0]
