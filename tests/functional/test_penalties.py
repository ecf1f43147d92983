"""Penalties on weights: hand-computed values, gradients, and what they leave alone."""

import math

import pytest
import torch

from kdbench import functional as F


def weights(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def test_the_l1_penalty_is_the_sum_of_absolute_values_over_all_tensors():
    found = F.l1_penalty([torch.tensor([[1.0, -2.0]]), torch.tensor([[[3.0]], [[-0.5]]])])

    assert found.item() == 6.5


def test_the_l1_penalty_pulls_every_weight_towards_zero_with_the_same_force():
    weight = weights(4, 3)

    (gradient,) = torch.autograd.grad(F.l1_penalty([weight]), weight)

    assert torch.equal(gradient, weight.sign())


def test_the_group_penalty_is_a_norm_for_each_output_channel_times_the_root_of_its_size():
    linear = torch.tensor([[3.0, 4.0], [0.0, 2.0]])
    convolution = torch.tensor([2.0, 2.0, 2.0, 2.0]).reshape(1, 1, 2, 2)

    assert F.group_penalty([linear, convolution]).item() == pytest.approx(math.sqrt(2) * (5 + 2) + 2 * 4, rel=1e-6)


def test_the_group_penalty_and_its_gradient_agree_with_a_loop_over_channels():
    convolution, linear = weights(5, 3, 3, 3), weights(4, 7, seed=1)

    loop = sum(
        math.sqrt(channel.numel()) * (channel**2).sum().sqrt() for weight in (convolution, linear) for channel in weight
    )
    ours = F.group_penalty([convolution, linear])

    assert ours.item() == pytest.approx(loop.item(), rel=1e-12)
    found = torch.autograd.grad(ours, (convolution, linear))
    expected = torch.autograd.grad(loop, (convolution, linear))
    assert all((a - b).abs().max() < 1e-12 for a, b in zip(found, expected, strict=True))


def test_a_channel_of_zeros_stays_where_it_is():
    weight = torch.tensor([[0.0, 0.0], [3.0, 4.0]], requires_grad=True)

    (gradient,) = torch.autograd.grad(F.group_penalty([weight]), weight)

    assert gradient[0].tolist() == [0.0, 0.0]
    assert gradient[1].tolist() == pytest.approx([math.sqrt(2) * 0.6, math.sqrt(2) * 0.8])


def test_the_group_penalty_prefers_weights_gathered_in_one_channel_and_l1_does_not_care():
    spread, gathered = torch.eye(2), torch.tensor([[1.0, 1.0], [0.0, 0.0]])

    assert F.group_penalty([gathered]) < F.group_penalty([spread])
    assert F.l1_penalty([gathered]) == F.l1_penalty([spread])
