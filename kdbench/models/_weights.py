"""How the networks of the distillation literature draw their initial weights."""

from torch import nn


def he_normal(module: nn.Module) -> None:
    """For `network.apply`: convolutions as in He et al. 2015, section 2.2, fan-out mode, biases 0; nothing else."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def small_normal(classifier: nn.Linear) -> None:
    """Weights of standard deviation 0.01, biases 0: the VGG paper's section 3.1, and what many networks kept of it."""
    nn.init.normal_(classifier.weight, std=0.01)
    nn.init.zeros_(classifier.bias)
