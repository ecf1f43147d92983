"""Distillation as tutorials write it: pictures through PIL and a DataLoader, one live fp32 teacher for each student."""

from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

Maps = list[Tensor]
STAGES = ("layer1", "layer2", "layer3")
TEMPERATURE = 4.0


def train(name: str, student: nn.Module, teacher: nn.Module, pictures: Path, batch_size: int) -> None:
    """One epoch of one technique of TERMS, or of "labels"."""
    chain = [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip(), transforms.ToTensor()]
    chain.append(transforms.Normalize((0.5, 0.5, 0.5), (0.25, 0.25, 0.25)))
    data = ImageFolder(str(pictures / "train"), transforms.Compose(chain))
    regressor = _regressor(student, teacher) if name == "fitnet" else nn.Identity()
    student.train()
    teacher.eval()
    own, taught = _features(student), _features(teacher)
    optimizer = torch.optim.SGD(
        [*student.parameters(), *regressor.parameters()], lr=1e-4, momentum=0.9, weight_decay=5e-4
    )
    for images, labels in DataLoader(data, batch_size, shuffle=True):
        logits = student(images)
        loss = F.cross_entropy(logits, labels)
        if name != "labels":
            with torch.no_grad():
                target = teacher(images)
            loss = loss + TERMS[name](logits, target, own, taught, regressor)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()


def _features(network: nn.Module) -> Maps:
    """What the three stages gave in the latest pass."""
    found: Maps = [torch.empty(0)] * len(STAGES)

    def keep(place: int) -> Callable[..., None]:
        return lambda module, inputs, output: found.__setitem__(place, output)

    for place, stage in enumerate(STAGES):
        network.get_submodule(stage).register_forward_hook(keep(place))
    return found


def _regressor(student: nn.Module, teacher: nn.Module) -> nn.Module:
    """A convolution and BatchNorm from the student's middle stage to the teacher's."""
    shapes = []
    for network in (student, teacher):
        features = _features(network)
        network.eval()(torch.zeros(2, 3, 32, 32))
        shapes.append(features[1].shape)
    mine, its = shapes
    if mine[2] == its[2]:
        conv = nn.Conv2d(mine[1], its[1], 1)
    else:
        conv = nn.Conv2d(mine[1], its[1], 3, stride=mine[2] // its[2], padding=1)
    return nn.Sequential(conv, nn.BatchNorm2d(its[1]), nn.ReLU())


def _soft(logits: Tensor, target: Tensor, own: Maps, taught: Maps, regressor: nn.Module) -> Tensor:
    p, q = F.log_softmax(logits / TEMPERATURE, 1), F.softmax(target / TEMPERATURE, 1)
    return TEMPERATURE**2 * F.kl_div(p, q, reduction="batchmean")


def _attention(logits: Tensor, target: Tensor, own: Maps, taught: Maps, regressor: nn.Module) -> Tensor:
    total = logits.new_zeros(())
    for s, t in zip(own, taught, strict=True):
        s, t = (F.adaptive_avg_pool2d(x, min(side(s), side(t))) for x in (s, t))
        s, t = (F.normalize(x.square().mean(1).flatten(1)) for x in (s, t))
        total = total + (s - t).square().mean()
    return 1000 * total


def side(maps: Tensor) -> int:
    """Height of a map (B, C, H, W)."""
    return maps.shape[2]


def _fitnet(logits: Tensor, target: Tensor, own: Maps, taught: Maps, regressor: nn.Module) -> Tensor:
    return 100 * F.mse_loss(regressor(own[1]), taught[1])


def _similarity(logits: Tensor, target: Tensor, own: Maps, taught: Maps, regressor: nn.Module) -> Tensor:
    s, t = (x[-1].flatten(1) for x in (own, taught))
    s, t = (F.normalize(x @ x.T) for x in (s, t))
    return 3000 * (s - t).square().sum() / len(s) ** 2


TERMS = {"soft": _soft, "attention": _attention, "fitnet": _fitnet, "similarity": _similarity}
