"""Channels are pruned whatever the network gives: values in their own unit, several outputs."""

import pytest
import torch
from torch import nn

from kdbench.models.cnn import CNN
from kdbench.models.mlp import MLP
from kdbench.protocols import Input, Output, TaskDescription
from kdbench.techniques.pruning._channels import check_cut, cut
from kdbench.techniques.pruning._coupling import trace

VALUES = Output(name="much", kind="values", axes=(1,), value_names=("much",), mean=(50.0,), scale=(20.0,))
CLASSES = Output(axes=(3,), class_names=("a", "b", "c"))
LABELS = Output(name="labels", kind="multilabel", axes=(3,), class_names=("x", "y", "z"))


def task(*outputs: Output) -> TaskDescription:
    return TaskDescription(inputs=(Input(name="image", axes=(2, 8, 8)),), outputs=outputs, example_counts={})


@pytest.mark.parametrize("outputs", [(VALUES,), (CLASSES, VALUES), (CLASSES, LABELS)])
@pytest.mark.parametrize("model", [MLP(depth=2, width=16), CNN(channels=(8, 16))])
def test_hidden_channels_go_and_outputs_stay(model: MLP | CNN, outputs: tuple[Output, ...]) -> None:
    torch.manual_seed(0)
    images = torch.rand(6, 2, 8, 8)
    network: nn.Module = model.build(task(*outputs)).eval()
    traced = trace(network, (images[:2],), [output.width for output in outputs])
    assert sorted(one.width for one in traced.sets) == ([16, 16] if isinstance(model, MLP) else [8, 16])
    gone = [(one, torch.arange(one.width // 2)) for one in traced.sets]
    cut(network, gone)
    check_cut(network, traced, gone, (images,))
    given = network(images)
    shapes = [tuple(one.shape) for one in (given if isinstance(given, tuple) else (given,))]
    assert shapes == [(6, output.width) for output in outputs]


def test_a_network_begins_at_the_training_split_s_mean_in_the_targets_unit() -> None:
    torch.manual_seed(0)
    given = MLP(depth=1, width=16).build(task(VALUES))(torch.randn(500, 2, 8, 8))
    assert 40 < given.mean() < 60
    assert 1 < given.std() < 20
