"""Random streams: one a purpose, the same on every machine, and those that published numbers were drawn from."""

import numpy as np
import pytest

from kdbench.streams import stream, torch_seed
from kdbench.tasks.arrays import epoch_order, epoch_views


@pytest.mark.parametrize(
    ("purpose", "numbers", "seed"), [("training", (3, 2), 3002), ("weights", (5, 0), 5), ("weights", (5, 1), 1_000_008)]
)
def test_published_numbers_were_trained_from_these_seeds(purpose: str, numbers: tuple[int, ...], seed: int) -> None:
    assert torch_seed(purpose, *numbers) == seed


@pytest.mark.parametrize(
    ("purpose", "entropy"), [("calibration", [7, 0xCA1]), ("unlabelled", [7, 0xE7]), ("order of calibration", 7)]
)
def test_published_numbers_were_drawn_from_these_streams(purpose: str, entropy: int | list[int]) -> None:
    assert (stream(purpose, 7).integers(1000, size=9) == np.random.default_rng(entropy).integers(1000, size=9)).all()


def test_orders_and_views_are_those_of_published_numbers() -> None:
    assert epoch_order(10, 3, 2).tolist() == [0, 2, 5, 6, 3, 1, 7, 4, 9, 8]
    assert epoch_views(5, 162, 1, 4).tolist() == [46, 134, 77, 155, 51]


def test_purposes_and_numbers_have_streams_of_their_own() -> None:
    seeds = {torch_seed(purpose, a, b) for purpose in ("one", "two") for a in range(20) for b in range(20)}
    assert len(seeds) == 800
    assert max(seeds) < 2**64
    assert torch_seed("one", 1, 2) == torch_seed("one", 1, 2)
    first = [stream(purpose, 0).random() for purpose in ("one", "two")]
    assert first[0] != first[1]
