"""Random streams, one for each purpose: drawing more of one changes no other. The only place that derives seeds."""

from collections.abc import Callable

import numpy as np

KEPT: dict[str, Callable[..., int | list[int]]] = {
    "training": lambda seed, number: seed * 1000 + number,
    "weights": lambda seed, number: seed + 1_000_003 * number,
    "noise on copies": lambda seed: seed,
    "channels at random": lambda seed: seed,
    "weights at random": lambda seed: seed,
    "order of calibration": lambda seed: seed,
    "calibration": lambda seed: [seed, 0xCA1],
    "unlabelled": lambda seed: [seed, 0xE7],
}
"""Purposes older than this module, with the formulas they had: published numbers were drawn from them. Where several
give the bare seed they start alike, which none of them minds: they decide different things, by different means."""


def stream(purpose: str, *numbers: int) -> np.random.Generator:
    """A generator that depends on the purpose and the numbers only (a seed, an epoch ...)."""
    return np.random.default_rng(_entropy(purpose, numbers))


def torch_seed(purpose: str, *numbers: int) -> int:
    """A seed for `torch.manual_seed` and `torch.Generator`, by the rule of `stream`: a whole number below 2^64."""
    entropy = _entropy(purpose, numbers)
    if isinstance(entropy, int):
        return entropy
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0])


def _entropy(purpose: str, numbers: tuple[int, ...]) -> int | list[int]:
    if purpose in KEPT:
        return KEPT[purpose](*numbers)
    return [int.from_bytes(purpose.encode(), "big"), *numbers]
