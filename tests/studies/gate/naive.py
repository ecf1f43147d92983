"""Gates that others use, on one process's samples; written apart from kdbench's."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import mannwhitneyu

Samples = Sequence[int]
MEAN_RATIO, MEDIAN_RATIO, P_VALUE = 1.05, 1.03, 0.01


@dataclass(frozen=True)
class Summary:
    """One process's samples of one file, in nanoseconds."""

    mean: float
    median: float


def summary(samples: Samples) -> Summary:
    return Summary(float(np.mean(samples)), float(np.median(samples)))


def by_means(new: Summary, reference: Summary) -> bool:
    """pytest-benchmark's `--benchmark-compare-fail=mean:5%`, on one process of each file."""
    return new.mean > MEAN_RATIO * reference.mean


def by_medians(new: Summary, reference: Summary) -> bool:
    """A comparison of medians, with the tolerance that kdbench has by default."""
    return new.median > MEDIAN_RATIO * reference.median


def by_ranks(new: Samples, reference: Samples) -> bool:
    """Mann and Whitney's test on the raw calls of one process of each file, one-sided. It assumes independent calls."""
    return bool(mannwhitneyu(new, reference, alternative="greater").pvalue < P_VALUE)
