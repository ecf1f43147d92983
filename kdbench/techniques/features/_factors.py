"""The modules of factor transfer: a paraphraser of the teacher's features and a translator of the student's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from kdbench.protocols import Batch, Outputs
from kdbench.techniques.features._adapters import Norm

SLOPE = 0.1
"""Negative slope of the leaky ReLUs: Kim et al. 2018's code and RepDistiller's."""


class Factors(nn.Module):
    """The two modules: C_t channels of the teacher are paraphrased in `factor_channels`, C_s translated to them."""

    def __init__(self, student_channels: int, teacher_channels: int, factor_channels: int) -> None:
        super().__init__()
        self.paraphraser = Paraphraser(teacher_channels, factor_channels)
        self.translator = _encoder(student_channels, factor_channels)


class Paraphraser(nn.Module):
    """An autoencoder over channels: three 3x3 convolutions to the factor, three transposed ones back."""

    def __init__(self, channels: int, factor_channels: int) -> None:
        super().__init__()
        self.encoder = _encoder(channels, factor_channels)
        self.decoder = nn.Sequential(
            *_step(nn.ConvTranspose2d, factor_channels, factor_channels),
            *_step(nn.ConvTranspose2d, factor_channels, channels),
            *_step(nn.ConvTranspose2d, channels, channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        reconstruction: Tensor = self.decoder(self.encoder(features))
        return reconstruction


class Paraphrased(nn.Module):
    """The teacher as it answers from paraphrased features; only the paraphraser is a part of it, and trainable.

    It is what the training loop takes for a model, so that a validation score says how much of the teacher's knowledge
    the paraphraser keeps. `error` is the mean squared error of the latest reconstruction.
    """

    def __init__(self, paraphraser: Paraphraser, answers: Callable[[Batch], Outputs]) -> None:
        """answers: the teacher's outputs for a batch."""
        super().__init__()
        self.paraphraser = paraphraser
        self.error = torch.zeros(())
        self._answers = answers

    def forward(self, *inputs: Tensor) -> Outputs:
        nobody = torch.full((len(inputs[0]),), -1, device=inputs[0].device)
        return self._answers(Batch(inputs, (), nobody, nobody))

    @contextmanager
    def reading(self, layer: nn.Module) -> Iterator[None]:
        """While the block runs, this layer of the teacher gives its reconstruction instead of its output."""
        hook = layer.register_forward_hook(lambda _, inputs, features: self._reconstruct(features))
        try:
            yield
        finally:
            hook.remove()

    def _reconstruct(self, features: Tensor) -> Tensor:
        with torch.enable_grad():  # the teacher answers without gradients, its paraphraser learns
            reconstruction = self.paraphraser(features.float())
            self.error = nn.functional.mse_loss(reconstruction, features.float())
        replaced: Tensor = reconstruction.detach().to(features.dtype)
        return replaced


def _encoder(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        *_step(nn.Conv2d, before, before), *_step(nn.Conv2d, before, after), *_step(nn.Conv2d, after, after)
    )


def _step(kind: type[nn.Conv2d] | type[nn.ConvTranspose2d], before: int, after: int) -> list[nn.Module]:
    return [kind(before, after, 3, padding=1), Norm(after), nn.LeakyReLU(SLOPE)]
