"""Networks with random weights, and the same ones made slower by real extra work: pairs of 1x1 convolutions."""

from collections.abc import Callable

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CLASSES = 10
INNER = 16
EXTRA_AFTER = 6
"""Index of MobileNet's layer with 512 channels of 6 x 6."""
Network = Callable[[int], onnx.ModelProto]
"""Makes a network, given how many units of extra work it has."""


class _Graph:
    """Nodes and weights as they are added; every method returns the name of what it gives."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def node(self, operator: str, *inputs: str, **attributes: object) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def weight(self, *shape: int) -> str:
        """He et al. 2015's scale, so that a deep network's outputs stay finite."""
        name = f"w{len(self.weights)}"
        scale = np.sqrt(2 / np.prod(shape[1:]))
        values = (scale * self.random.standard_normal(shape)).astype(np.float32)
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def conv(self, x: str, shape: tuple[int, int, int], stride: int = 1, group: int = 1, relu: bool = True) -> str:
        """`shape`: channels in and out, kernel side."""
        channels, filters, side = shape
        weight, pad = self.weight(filters, channels // group, side, side), side // 2
        y = self.node("Conv", x, weight, strides=[stride] * 2, pads=[pad] * 4, group=group)
        return self.node("Relu", y) if relu else y

    def extra(self, x: str, channels: int, units: int) -> str:
        """`units` pairs of 1x1 convolutions, to INNER channels and back."""
        for _ in range(units):
            x = self.conv(self.conv(x, (channels, INNER, 1)), (INNER, channels, 1))
        return x

    def model(self, x: str, channels: int, side: int) -> onnx.ModelProto:
        """Mean over the image and a Gemm after `x`; images are (n, 3, side, side)."""
        flat = self.node("Flatten", self.node("GlobalAveragePool", x))
        self.nodes.append(helper.make_node("Gemm", [flat, self.weight(CLASSES, channels)], ["y"], transB=1))
        graph = helper.make_graph(
            self.nodes,
            "net",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, side, side])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", CLASSES])],
            self.weights,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def resnet20(units: int = 0) -> onnx.ModelProto:
    """He et al. 2016's ResNet-20 for CIFAR (batch norms folded), images (n, 3, 32, 32)."""
    graph = _Graph(20)
    x, channels = graph.conv("x", (3, 16, 3)), 16
    for width in (16, 32, 64):
        for block in range(3):
            stride = 2 if width > 16 and block == 0 else 1
            y = graph.conv(x, (channels, width, 3), stride)
            y = graph.conv(y, (width, width, 3), relu=False)
            short = graph.conv(x, (channels, width, 1), stride, relu=False) if stride == 2 else x
            x, channels = graph.node("Relu", graph.node("Add", y, short)), width
        if width == 64:
            x = graph.extra(x, width, units)
    return graph.model(x, channels, 32)


def mobilenet(units: int = 0) -> onnx.ModelProto:
    """Howard et al. 2017's MobileNet, images (n, 3, 96, 96): 13 MB of weights, so caches matter."""
    graph = _Graph(17)
    x, channels = graph.conv("x", (3, 32, 3), stride=2), 32
    layers = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
    for place, (width, stride) in enumerate(layers):
        x = graph.conv(x, (channels, channels, 3), stride, group=channels)
        x, channels = graph.conv(x, (channels, width, 1)), width
        if place == EXTRA_AFTER:
            x = graph.extra(x, width, units)
    return graph.model(x, channels, 96)


NETWORKS: dict[str, Network] = {"resnet20": resnet20, "mobilenet": mobilenet}
SIDES = {"resnet20": 32, "mobilenet": 96}
