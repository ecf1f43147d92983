"""Names of weights in exported files: a layer is found by its path in the network."""

from pathlib import Path

import onnx
import torch
from torch import nn

from kdbench.protocols import TaskDescription
from kdbench.stages.export import to_onnx

IMAGES = TaskDescription.classification(
    input_names=("image",), input_shapes=((1, 8, 8),), class_names=("a", "b"), example_counts={"train": 2}
)


class OverTokens(nn.Module):
    """A folded BatchNorm, and a linear layer over three axes, whose weight the exporter writes transposed."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.mixer = nn.Linear(4, 6)
        self.head = nn.Linear(6, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        tokens: torch.Tensor = self.mixer(self.stem(images).flatten(2).transpose(1, 2)).relu()
        logits: torch.Tensor = self.head(tokens.mean(1))
        return logits


def test_every_weight_bears_the_path_of_its_layer(tmp_path: Path) -> None:
    torch.manual_seed(0)
    example = (torch.randn(2, 1, 8, 8),)
    to_onnx(OverTokens().eval(), example, IMAGES, tmp_path / "net.onnx", 20)
    names = {tensor.name for tensor in onnx.load(tmp_path / "net.onnx").graph.initializer}
    assert {"stem.0.weight", "mixer.weight", "head.weight"} <= names
