"""Measuring BatchNorm's running statistics anew. Knows no technique."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

Sample = Mapping[str, np.ndarray]


def tracking(model: nn.Module) -> list[_BatchNorm]:
    """The BatchNorm layers of a model that keep running statistics."""
    return [layer for layer in model.modules() if isinstance(layer, _BatchNorm) and layer.track_running_stats]


@torch.no_grad()
def reestimate(model: nn.Module, samples: Sequence[Sample], batch_size: int, names: Sequence[str]) -> nn.Module:
    """The model in eval mode, its running statistics the plain averages over whole batches of the samples.

    samples: inputs by name, batch 1 each; names: the order in which the model takes them.
    """
    layers = tracking(model.eval())
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # torch's word for a cumulative average
        layer.train()
    device = next(model.parameters()).device
    for inputs in _batches(samples, batch_size, names):
        model(*(tensor.to(device) for tensor in inputs))
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    return model.eval()


def _batches(samples: Sequence[Sample], size: int, names: Sequence[str]) -> Iterator[tuple[Tensor, ...]]:
    size = min(size, len(samples))
    for start in range(0, len(samples) - size + 1, size):
        batch = samples[start : start + size]
        yield tuple(torch.from_numpy(_joined([sample[name] for sample in batch])) for name in names)


def _joined(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Arrays (1, ...) as one batch; shorter ones are filled with 0, which masks and lengths beside them hide."""
    most = np.max([array.shape for array in arrays], axis=0)
    return np.concatenate([np.pad(a, [(0, m - n) for m, n in zip(most, a.shape, strict=True)]) for a in arrays])
