"""Multiply-accumulates are those that the file computes: by hand for each operator, and of whole networks."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from kdbench.models.cnn import CNN
from kdbench.protocols import TaskDescription
from kdbench.stages._mac_count import mac_count
from kdbench.stages.export import to_onnx

OPSET = 20


def counted(tmp_path: Path, node: onnx.NodeProto, inputs: dict[str, Any], **weights: tuple[int, ...]) -> int:
    """The multiply-accumulates of a graph of one node."""
    made = [numpy_helper.from_array(np.ones(shape, np.float32), name) for name, shape in weights.items()]
    given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()]
    result = [helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, None)]
    graph = helper.make_graph([node], "one", given, result, made)
    path = tmp_path / "one.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10), path)
    found = mac_count(path, {name: np.ones(shape, np.float32) for name, shape in inputs.items()}, tmp_path / "scratch")
    assert [file.name for file in tmp_path.iterdir()] == ["one.onnx"]
    return found


def test_operators_by_hand(tmp_path: Path) -> None:
    def make(kind: str, **attributes: Any) -> onnx.NodeProto:
        return helper.make_node(kind, ["x", "w"], ["y"], **attributes)

    image = {"x": (1, 4, 8, 8)}
    assert counted(tmp_path, make("Conv", pads=[1] * 4), image, w=(6, 4, 3, 3)) == 8 * 8 * 6 * 4 * 9
    assert counted(tmp_path, make("Conv", group=4), image, w=(4, 1, 3, 3)) == 6 * 6 * 4 * 9
    assert counted(tmp_path, make("ConvTranspose", strides=[2, 2]), image, w=(4, 5, 2, 2)) == 8 * 8 * 4 * 5 * 4
    assert counted(tmp_path, make("Gemm", transB=1), {"x": (1, 7)}, w=(3, 7)) == 21
    assert counted(tmp_path, make("Gemm", transA=1), {"x": (7, 1)}, w=(7, 3)) == 21
    assert counted(tmp_path, make("MatMul"), {"x": (1, 2, 5, 6), "w": (1, 2, 6, 5)}) == 2 * 5 * 6 * 5
    assert counted(tmp_path, make("Einsum", equation="...ik,...jk->...ij"), {"x": (2, 5, 6), "w": (2, 4, 6)}) == 240
    assert counted(tmp_path, helper.make_node("Relu", ["x"], ["y"]), image) == 0
    lstm = helper.make_node("LSTM", ["x", "w", "r"], ["y"], hidden_size=3)
    assert counted(tmp_path, lstm, {"x": (7, 1, 5)}, w=(1, 12, 5), r=(1, 12, 3)) == 7 * 12 * (5 + 3)


class Attention(nn.Module):
    """A learned position, expanded to the batch and given to a submodule, then an encoder layer."""

    def __init__(self) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.randn(1, 8, 16))
        self.embed = nn.Linear(8, 16)
        self.norm = nn.LayerNorm(16)
        self.layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.head = nn.Linear(16, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        tokens = self.embed(image[:, 0])
        tokens = tokens + self.norm(self.position.expand(len(image), -1, -1))
        result: torch.Tensor = self.head(self.layer(tokens).mean(1))
        return result


@pytest.fixture
def digits() -> TaskDescription:
    names = tuple("0123456789")
    return TaskDescription.classification(
        input_names=("image",), input_shapes=((1, 8, 8),), class_names=names, example_counts={"train": 2}
    )


def test_attention_is_counted_though_torch_fuses_it(tmp_path: Path, digits: TaskDescription) -> None:
    model, example = Attention().eval(), torch.randn(2, 1, 8, 8)
    to_onnx(model, (example,), digits, tmp_path / "model.onnx", OPSET)
    tokens, width, inner = 8, 16, 32
    layer = tokens * width * 4 * width + 2 * tokens * tokens * width + 2 * tokens * width * inner
    found = mac_count(tmp_path / "model.onnx", {"image": example[:1].numpy()}, tmp_path / "scratch")
    assert found == tokens * 8 * width + layer + width * 10


def test_a_convolutional_network_has_what_torch_counts(tmp_path: Path, digits: TaskDescription) -> None:
    model, example = CNN(channels=(8, 16)).build(digits).eval(), torch.randn(2, 1, 8, 8)
    to_onnx(model, (example,), digits, tmp_path / "model.onnx", OPSET)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(example[:1])
    found = mac_count(tmp_path / "model.onnx", {"image": example[:1].numpy()}, tmp_path / "scratch")
    assert found == counter.get_total_flops() // 2
