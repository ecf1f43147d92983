"""Gradients that come back through a pool: laid out as the features are, and no number changes."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from kdbench.training.layout import pooled_gradients_laid_out


def network() -> nn.Sequential:
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(*layers, nn.Linear(8, 2)).to(memory_format=torch.channels_last)


def seen(model: nn.Sequential, precision: torch.dtype) -> Iterator[Tensor]:
    """The gradient that reaches the ReLU, and those of all weights."""
    found: list[Tensor] = []

    def watch(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        assert output.grad_fn is not None
        output.grad_fn.register_prehook(lambda gradients: found.extend(gradients))

    hook = model[2].register_forward_hook(watch)
    torch.manual_seed(1)
    pictures = torch.rand(4, 3, 8, 8).to(memory_format=torch.channels_last)
    with torch.autocast("cpu", precision, enabled=precision != torch.float32):
        answer = model(pictures)
    hook.remove()
    torch.autograd.backward(answer.float().square().sum())
    yield from found
    yield from (weight.grad for weight in model.parameters() if weight.grad is not None)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16], ids=str)
def test_a_pooled_gradient_lies_channels_last_and_all_gradients_are_the_same_to_the_bit(precision: torch.dtype) -> None:
    plain, laid_out = network(), network()
    with pooled_gradients_laid_out(laid_out):
        found = [*seen(laid_out, precision)]
    expected = [*seen(plain, precision)]
    assert found[0].is_contiguous(memory_format=torch.channels_last)
    assert not expected[0].is_contiguous(memory_format=torch.channels_last), "torch does it by itself: drop the module"
    assert len(found) == 7
    assert all(map(torch.equal, found, expected))


def test_no_hook_is_left_behind_even_by_a_step_that_fails() -> None:
    model = network()
    with pytest.raises(ValueError, match="step"), pooled_gradients_laid_out(model):
        raise ValueError("a step")
    assert not any(module._forward_pre_hooks for module in model.modules())
