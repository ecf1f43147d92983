"""scikit-learn's bundled handwritten digits."""

from pathlib import Path
from typing import ClassVar

from kdbench.protocols import Preprocessing, Task, TaskDescription

SPLIT = {"train": 0.6, "validation": 0.2, "test": 0.2}
SPLIT_SEED = 0
PREPROCESSING = Preprocessing(scale=1 / 16, mean=(0.306030,), std=(0.376209,))
"""Pixels are counts from 0 to 16; mean and standard deviation over the training split's pixels, divided by 16."""

ORIGIN = (
    "The copy in scikit-learn of the test part of Alpaydin and Kaynak 1998, Optical Recognition of Handwritten Digits, "
    "UCI Machine Learning Repository, doi:10.24432/C50P49, CC BY 4.0."
)


class Digits(Task):
    """1,797 real scans of handwritten digits, 8x8 pixels, 10 classes; split 60/20/20 % once and for all.

    The split is stratified and drawn with a fixed seed. The data ships inside scikit-learn: nothing is downloaded.
    """

    paper: ClassVar[str] = "Kaynak 1995; UCI, Optical Recognition of Handwritten Digits, its test part"

    def data_origin(self) -> str:
        return ORIGIN

    def varies(self) -> bool:
        """Every scan is 8x8."""
        return False

    def decode(self, out: Path) -> TaskDescription:
        import numpy as np
        from sklearn.datasets import load_digits

        from kdbench.tasks._labelled import Labelled, write_images
        from kdbench.tasks.arrays import stratified_split

        digits = load_digits()
        everything = Labelled(digits.images[:, np.newaxis].astype(np.uint8), digits.target)
        parts = stratified_split(everything.targets, tuple(SPLIT.values()), SPLIT_SEED)
        splits = {split: everything[index] for split, index in zip(SPLIT, parts, strict=True)}
        return write_images(out, splits, tuple(str(name) for name in digits.target_names), PREPROCESSING)
