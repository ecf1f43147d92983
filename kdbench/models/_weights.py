"""Initial weights as in the networks of the distillation literature."""

from torch import nn


def he_normal(module: nn.Module) -> None:
    """For `network.apply`: draws convolutions as in He et al. 2015 (section 2.2, fan-out mode), biases 0."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def small_normal(head: nn.Module) -> None:
    """Linear layers of standard deviation 0.01, biases 0, as in the VGG paper (section 3.1) and many networks since."""
    for linear in _linears(head):
        nn.init.normal_(linear.weight, std=0.01)
    zero_biases(head)


def zero_biases(head: nn.Module) -> None:
    """The biases of a head's linear layers, set to 0."""
    for linear in _linears(head):
        nn.init.zeros_(linear.bias)


def _linears(head: nn.Module) -> list[nn.Linear]:
    return [one for one in head.modules() if isinstance(one, nn.Linear)]
