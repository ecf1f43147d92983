"""Copies are the same model in one file, wherever its weights lay."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from kdbench.errors import ModelError
from kdbench.files import sha256_of
from kdbench.timing.copies import several
from kdbench.timing.onnx_files import content_of, data_files


def saved(path: Path, scale: float, apart: bool) -> Path:
    """A model y = x w, its weights beside it or in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    weights = numpy_helper.from_array(np.full((4, 4), scale, np.float32), "w")
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 4)) for name in "xy"]
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", value[:1], value[1:], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, path, save_as_external_data=apart, location="m.onnx.data", size_threshold=0)
    return path


def test_weights_beside_a_file_are_in_its_copies_and_in_its_content(tmp_path: Path) -> None:
    one, other = (saved(tmp_path / str(scale) / "m.onnx", scale, apart=True) for scale in (1, 2))
    assert sha256_of(one) == sha256_of(other)
    assert content_of(one) != content_of(other)
    copies = several(one, tmp_path, 3)
    assert len(copies) == 3
    for digest, path in copies.items():
        assert sha256_of(path) == digest
        assert not data_files(path)
        (weights,) = onnx.load(path, load_external_data=False).graph.initializer
        assert (numpy_helper.to_array(weights) == 1).all()


def test_a_file_that_holds_its_weights_is_its_own_first_copy(tmp_path: Path) -> None:
    path = saved(tmp_path / "m.onnx", 1, apart=False)
    assert content_of(path) == sha256_of(path)
    assert path in several(path, tmp_path, 2).values()


def test_weights_that_are_missing_or_elsewhere_are_told(tmp_path: Path) -> None:
    path = saved(tmp_path / "in" / "m.onnx", 1, apart=True)
    data = path.with_name("m.onnx.data")
    data.rename(tmp_path / "m.onnx.data")
    with pytest.raises(ModelError, match=r"keeps its weights in 'm\.onnx\.data' .*put that file beside it"):
        content_of(path)
    data.symlink_to(tmp_path / "m.onnx.data")
    with pytest.raises(ModelError, match="outside its own folder"):
        content_of(path)
