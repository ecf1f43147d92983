"""Torch models as files, and where they compute: what user code is allowed to do with its layers."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from kdbench.errors import ModelError
from kdbench.protocols import TaskDescription
from kdbench.protocols.part import PartSpec, spec_of
from kdbench.stages import torch_models
from kdbench.techniques.pruning._channels import cut
from kdbench.techniques.pruning._coupling import trace
from kdbench.techniques.pruning.structured_pruning import StructuredPruning

CPU = torch.device("cpu")
TASK = TaskDescription.classification(
    input_names=("image",), input_shapes=((1, 8, 8),), class_names=tuple("0123456789"), example_counts={}
)
PART = PartSpec("model", "mlp", 1, {})


class Viewing(nn.Module):
    """As most tutorials write it."""

    def __init__(self, how: str = "view") -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3, padding=1)
        self.last = nn.Linear(8 * 16, 10)
        self.how = how

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv(x)), 2)
        return self.last(x.view(x.size(0), -1) if self.how == "view" else x.flatten(1))


class TwoNames(nn.Module):
    """One convolution under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 16, 3, padding=1)
        self.features = nn.Sequential(self.conv, nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1))
        self.last = nn.Linear(16, 10)

    def forward(self, x):
        return self.last(self.features(x).relu().mean((2, 3)))


@pytest.fixture
def declared(monkeypatch):
    """declared(Class): what the declaration of the part builds."""
    return lambda cls: monkeypatch.setattr("kdbench.models.mlp.MLP.build", lambda self, task: cls())


@pytest.mark.parametrize(("how", "channels_last"), [("view", False), ("flatten", True)])
def test_channels_lie_last_unless_the_networks_code_cannot_take_that(how, channels_last):
    model, image = Viewing(how), torch.rand(4, 1, 8, 8)
    before = model(image)
    state = torch.get_rng_state()

    placed = torch_models.placed(model, CPU, (image[:2],))

    assert placed.conv.weight.is_contiguous(memory_format=torch.channels_last) or not channels_last
    assert torch.allclose(placed(image), before, atol=1e-6)
    F.cross_entropy(placed.train()(image), torch.zeros(4, dtype=torch.long)).backward()
    assert torch.equal(torch.get_rng_state(), state)
    assert placed.training


def test_another_error_of_the_networks_code_is_shown_as_it_is():
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        torch_models.placed(nn.Sequential(nn.Flatten(), nn.Linear(3, 10)), CPU, (torch.rand(2, 1, 8, 8),))


def test_a_layer_under_two_names_is_kept_and_stays_one_layer(declared, tmp_path):
    declared(TwoNames)
    model, image = TwoNames().eval(), torch.rand(2, 1, 8, 8)

    torch_models.save(model, PART, tmp_path)
    loaded = torch_models.load(tmp_path, TASK, CPU)

    assert torch.equal(loaded(image), model(image))
    assert loaded.conv is loaded.features[0]


def test_a_layer_under_two_names_is_pruned_under_both(declared, tmp_path):
    declared(TwoNames)
    model, image = TwoNames().eval(), torch.rand(2, 1, 8, 8)
    traced = trace(model, (image,), (10,))

    cut(model, [(one, torch.arange(8)) for one in traced.sets])
    pruning = spec_of("technique", "structured_pruning", StructuredPruning(channel_fraction=0.5))
    torch_models.save(model, PART, tmp_path, [pruning])
    loaded = torch_models.load(tmp_path, TASK, CPU)

    assert loaded.conv.out_channels == loaded.features[2].in_channels == 8
    assert torch.equal(loaded(image), model(image))


def test_a_network_whose_structure_nobody_restores_is_refused_by_its_tensors(declared, tmp_path):
    declared(TwoNames)
    model = TwoNames()
    model.extra = nn.Linear(2, 2)
    torch_models.save(model, PART, tmp_path)

    with pytest.raises(ModelError, match=r"extra\.weight.*restores it in restore\(\)"):
        torch_models.load(tmp_path, TASK, CPU)
