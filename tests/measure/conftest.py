"""Tiny ONNX files and the packed program, for the tests of the measuring room."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from tiny_models import FileOf, entry

from kdbench.measure.program import pack


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pack(tmp_path_factory.mktemp("program") / "measure.pyz")


@pytest.fixture
def file_of(tmp_path: Path) -> FileOf:
    """Saves a model and gives its entry of a job's `files`."""

    def save(name: str, model: onnx.ModelProto) -> dict[str, str]:
        path = tmp_path / f"{name}.onnx"
        onnx.save(model, path)
        return entry(path)

    return save


@pytest.fixture
def job(tmp_path: Path) -> dict[str, Any]:
    """What every job of these tests says: 20 images of 8 x 8, a quick rule."""
    inputs = tmp_path / "inputs.npz"
    np.savez(inputs, x=np.random.default_rng(0).normal(size=(20, 3, 8, 8)).astype(np.float32))
    quick = {"warmup": {"min_calls": 3, "min_ns": 0}, "round_call_count": 5, "min_calls": 20, "min_ns": 0}
    return {"schema": 1, "inputs": str(inputs), **quick}
