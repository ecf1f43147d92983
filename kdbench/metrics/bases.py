"""What most metrics are made from: a mean, a function of sums, a value with each example's influence on it.

The fourth base is `kdbench.protocols.Metric` itself: a value alone, and blocks of examples left out.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from kdbench.protocols.metric import Answers, Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Mean(Metric):
    """A mean over examples: its own pseudo-values."""

    @abstractmethod
    def each(self, outputs: Answers, targets: Answers) -> NDArray[Any]:
        """(n,), one number an example."""

    def value(self, outputs: Answers, targets: Answers) -> float:
        """The mean of `each`."""
        return float(self.each(outputs, targets).mean())

    def pseudo_values(self, outputs: Answers, targets: Answers) -> NDArray[np.float64]:
        """`each`."""
        import numpy as np

        return np.asarray(self.each(outputs, targets), np.float64)


class OfSums(Metric):
    """A function of sums over examples. Its jackknife is exact: to leave an example out is one subtraction."""

    @abstractmethod
    def parts(self, outputs: Answers, targets: Answers) -> NDArray[Any]:
        """(n, J): what each example adds to the J sums."""

    @abstractmethod
    def of(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """The value (...,) of sums (..., J)."""

    def value(self, outputs: Answers, targets: Answers) -> float:
        """The function of the sums over all examples."""
        return float(self.of(self.parts(outputs, targets).sum(axis=0, dtype="float64")))

    def pseudo_values(self, outputs: Answers, targets: Answers) -> NDArray[np.float64]:
        """n V - (n - 1) V_-i, shifted to have the value as their mean."""
        import numpy as np

        parts = np.asarray(self.parts(outputs, targets), np.float64)
        count, sums = len(parts), parts.sum(axis=0)
        whole = float(self.of(sums))
        if count < 2:
            return np.full(count, whole)
        without = self.of(sums - parts)
        return np.asarray(whole + (count - 1) * (without.mean() - without), np.float64)


class Influenced(Metric):
    """A value of which it is known how much an example moves it: the influence function (Hampel 1974)."""

    @abstractmethod
    def influence(self, outputs: Answers, targets: Answers) -> NDArray[np.float64]:
        """(n,), with the mean 0."""

    def pseudo_values(self, outputs: Answers, targets: Answers) -> NDArray[np.float64]:
        """The value plus each example's influence on it."""
        import numpy as np

        return np.asarray(self.value(outputs, targets) + self.influence(outputs, targets), np.float64)
