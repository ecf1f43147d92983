"""A pruned network answers as the whole one whose removed channels nobody reads, however its features are laid out."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from kdbench.errors import TechniqueError
from kdbench.techniques.pruning._channels import check_cut, cut
from kdbench.techniques.pruning._coupling import trace
from kdbench.techniques.pruning.structured_pruning import StructuredPruning
from kdbench.techniques.quantization.quantization_aware_training import QuantizationAwareTraining

FLATTENED = {
    "flatten": lambda x: x.flatten(1),
    "view": lambda x: x.view(x.size(0), -1),
    "reshape": lambda x: x.reshape(len(x), -1),
    "channels last": lambda x: x.permute(0, 2, 3, 1).flatten(1),
    "channels last by reshape": lambda x: x.permute(0, 2, 3, 1).reshape(len(x), -1),
    "channels last by view": lambda x: x.permute(0, 2, 3, 1).contiguous().view(x.size(0), -1),
    "tokens": lambda x: x.flatten(2).transpose(1, 2).flatten(1),
    "columns before rows": lambda x: x.transpose(2, 3).flatten(1),
    "moved": lambda x: torch.movedim(x, 1, -1).flatten(1),
    "channels last and pooled": lambda x: x.permute(0, 2, 3, 1).mean((1, 2)),
    "two halves": lambda x: torch.cat([half.flatten(1) for half in x.chunk(2, 2)], 1),
}


class Flattened(nn.Module):
    """A convolution whose features a linear layer takes, flattened in one of the ways above."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 16, 3, padding=1)
        self.norm = nn.BatchNorm2d(16)
        self.way = FLATTENED[way]
        self.hidden = nn.Linear(self.way(torch.zeros(1, 16, 4, 4)).shape[1], 32)
        self.last = nn.Linear(32, 10)

    def forward(self, x):
        return self.last(self.hidden(self.way(F.avg_pool2d(self.norm(self.conv(x)).relu(), 2))).relu())


class Branches(nn.Module):
    """Grouped and depthwise convolutions, a layer that works twice, and a concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 16, 3, padding=1)
        self.twice = nn.Conv2d(16, 16, 3, padding=1)
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.grouped = nn.Conv2d(16, 32, 3, padding=1, groups=4)
        self.norm = nn.GroupNorm(4, 32)
        self.joined = nn.Conv2d(48, 32, 1)
        self.last = nn.Linear(32 * 16, 10)

    def forward(self, x):
        x = F.max_pool2d(self.stem(x).relu(), 2)
        x = self.depthwise(self.twice(self.twice(x).relu())).sigmoid()
        x = self.joined(torch.cat([x, self.norm(self.grouped(x)).relu()], 1))
        return self.last(x.permute(0, 2, 3, 1).flatten(1))


class Gated(nn.Module):
    """Squeeze-and-excitation, and LayerNorm over channels that lie last."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 32, 3, padding=1)
        self.squeeze = nn.Conv2d(32, 16, 1)
        self.excite = nn.Conv2d(16, 32, 1)
        self.norm = nn.LayerNorm(32)
        self.wide = nn.Linear(32, 64)
        self.last = nn.Linear(64, 10)

    def forward(self, x):
        x = self.stem(x)
        x = x * self.excite(self.squeeze(x.mean((2, 3), keepdim=True)).relu()).sigmoid()
        return self.last(F.gelu(self.wide(self.norm(x.permute(0, 2, 3, 1)))).mean((1, 2)))


class Split(nn.Module):
    """Halves of the channels go different ways and are joined again, as in YOLO's C2f."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 32, 3, padding=1)
        self.halved = nn.Conv2d(32, 32, 1)
        self.inner = nn.Conv2d(16, 16, 3, padding=1)
        self.outer = nn.Conv2d(16, 16, 3, padding=1)
        self.joined = nn.Conv2d(48, 32, 1)
        self.last = nn.Linear(32, 10)

    def forward(self, x):
        parts = list(self.halved(self.stem(x).relu()).relu().chunk(2, 1))
        parts.append(parts[-1] + self.outer(self.inner(parts[-1]).relu()).relu())
        return self.last(self.joined(torch.cat(parts, 1)).relu().mean((2, 3)))


def pruned(model: nn.Module, seed: int, images: torch.Tensor) -> None:
    """Random channels go from every set, one of them and half of them; `check_cut` is the assertion."""
    generator = torch.Generator().manual_seed(seed)
    traced = trace(model, (images[:2],), (10,))
    gone = []
    for one in traced.sets:
        share = one.width // one.blocks
        chosen = torch.randperm(share, generator=generator)[: max(1, share // 2)]
        gone.append((one, torch.cat([chosen + block * share for block in range(one.blocks)])))
    smaller = copy.deepcopy(model)
    cut(smaller, gone)
    check_cut(smaller, traced, gone, (images,))
    with torch.no_grad():
        assert not torch.allclose(smaller.eval()(images), model.eval()(images), rtol=1e-2)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", [*FLATTENED, "branches", "gated"])
def test_a_pruned_network_is_the_silenced_one(kind, seed, context):
    torch.manual_seed(seed)
    model = {"branches": Branches, "gated": Gated}.get(kind, lambda: Flattened(kind))()
    model(torch.randn(32, 1, 8, 8))

    pruned(model.eval(), seed, torch.randn(8, 1, 8, 8))


@pytest.mark.parametrize("way", FLATTENED)
def test_dead_channels_go_without_a_change(way, context):
    """The second half of the channels is dead: without them the network answers as before, to rounding."""
    torch.manual_seed(0)
    model = Flattened(way).eval()
    with torch.no_grad():
        model.conv.weight[8:] = 0
        model.norm.weight[8:] = 0
    ctx = context()
    before = model(ctx.images).detach()

    smaller = StructuredPruning(channel_fraction=0.5, keep=("hidden",), finetuned=False).apply(model, ctx)

    assert smaller.conv.out_channels == 8
    assert torch.allclose(smaller(ctx.images), before, rtol=1e-4, atol=1e-5)


def test_channels_taken_from_the_wrong_places_are_an_error_that_names_the_layer(context):
    torch.manual_seed(0)
    model, images = Flattened("channels last").eval(), torch.randn(8, 1, 8, 8)
    traced = trace(model, (images[:2],), (10,))
    (one,) = (one for one in traced.sets if one.name == "conv")
    first = torch.arange(256)
    (reader,) = (member for member in one.members if member.name == "hidden")
    wrong = replace(reader, places=first, channels=first // 16)
    one = replace(one, members=tuple(wrong if member is reader else member for member in one.members))
    gone = [(one, torch.arange(8))]
    smaller = copy.deepcopy(model)
    cut(smaller, gone)

    with pytest.raises(TechniqueError, match=r"those of conv cannot be followed; name that layer in 'keep'"):
        check_cut(smaller, traced, gone, (images,))


def test_channels_that_are_split_are_refused_before_any_training_with_the_remedy(context):
    technique = StructuredPruning(channel_fraction=0.5)

    assert technique.problem(Split(), context()) == (
        "the channels of 'halved' are split or joined in a way that cannot be followed; name it in 'keep'."
    )
    keeping = StructuredPruning(channel_fraction=0.5, keep=("halved",), finetuned=False)
    assert keeping.problem(Split(), context()) is None
    assert keeping.apply(Split(), context()).joined.out_channels == 16


@pytest.mark.parametrize(
    "normed", [parametrizations.weight_norm, parametrizations.spectral_norm, nn.utils.spectral_norm]
)
def test_a_weight_that_is_computed_from_others_is_refused_by_name(normed, context):
    model = nn.Sequential(normed(nn.Conv2d(1, 16, 3)), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 36, 10))

    assert StructuredPruning(channel_fraction=0.5).problem(model, context()).startswith("the weight of '0' is no")
    assert QuantizationAwareTraining().problem(model, context()).startswith("the weight of '0' is no")
