"""Made pictures in class folders, so that the benchmark needs no data."""

from pathlib import Path

import numpy as np
from PIL import Image

SIDE, CLASSES = 32, 10
TEST_COUNT = 2 * CLASSES


def write_pictures(root: Path, train_count: int) -> None:
    """Write root/train/CLASS/*.png and root/test/CLASS/*.png: noise of SIDE x SIDE pixels, as many of each class."""
    random = np.random.default_rng(0)
    for split, count in (("train", train_count), ("test", TEST_COUNT)):
        for number in range(count):
            folder = root / split / str(number % CLASSES)
            folder.mkdir(parents=True, exist_ok=True)
            pixels = random.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{number:05d}.png")
