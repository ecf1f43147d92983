"""Metrics of embeddings by their cosines: do similar examples lie near each other, is what belongs together found.

Examples that share a number (`kdbench.protocols.data.Output.targets`) are one observation: they lie near each other and
fall together. Intervals over single queries called two alike cases different in 5 to 14 of 100 tables; over ids they do
in 2 to 11, the most by recall at 1 over 50 ids (report/statistics/metric-levels.md).

Sources
Reimers, Beyer, Gurevych 2016, "Task-oriented intrinsic evaluation of semantic textual similarity": why Spearman.
Jégou, Douze, Schmid 2011, section V: recall at k, the share of queries with what belongs to them among the k nearest.
Järvelin, Kekäläinen 2002: discounted cumulative gain, divided by the best there can be.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from kdbench.errors import DataError
from kdbench.metrics.bases import Influenced
from kdbench.metrics.correlation import Spearman
from kdbench.protocols.metric import FEWEST_EXAMPLES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kdbench.protocols.data import Output

DECIMALS = 9
"""Cosines that agree so far are equal: what lies beyond depends on the order in which a machine adds."""
AT_ONCE = 512
"""Queries whose cosines are held together: 512 x 50,000 documents take 200 MB."""


class _OfEmbeddings(Influenced):
    """A metric of embeddings whose targets say one of some things."""

    kinds = frozenset({"embedding"})
    said: ClassVar[frozenset[str]]
    """The `Output.targets` that it can read."""
    counted_things: ClassVar[str]
    """What its examples are grouped into, for messages."""

    def judging(self, output: Output) -> Self:
        """Raises DataError for targets that say something else, too."""
        bound = super().judging(output)
        if output.targets not in self.said:
            raise DataError(
                f"the targets of '{output.name}' are {output.targets}, and the metric {self.name} judges "
                f"{' or '.join(sorted(self.said))}; name another metric, or say `targets`."
            )
        return bound

    @abstractmethod
    def units(self, targets: Any) -> NDArray[np.int64]:
        """(n,)."""

    def few(self, targets: Any) -> str | None:
        """Below 20 pairs or ids that count."""
        count = len(np.unique(self.units(targets)[self._counting(targets)]))
        return f"only {count} {self.counted_things}" if count < FEWEST_EXAMPLES else None

    def support(self, targets: Any) -> str:
        """Examples, and the pairs or ids among them."""
        count = len(np.unique(self.units(targets)[self._counting(targets)]))
        return f"{len(targets):,} examples, {count:,} {self.counted_things}"

    @abstractmethod
    def _counting(self, targets: Any) -> NDArray[np.bool_]:
        """(n,): the examples that the value is a mean over, or made from."""

    def _on_first(self, targets: Any, influence: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,) from one number a unit that counts, in the order of their numbers: each on its first example.

        Times examples over units, so that the spread over examples is right for a mean over units.
        """
        places = np.flatnonzero(self._counting(targets))
        _, first = np.unique(self.units(targets)[places], return_index=True)
        found = np.zeros(len(targets))
        found[places[first]] = influence * len(targets) / len(first)
        return found


class CosineSpearman(_OfEmbeddings):
    """Spearman's correlation of the cosines of pairs with the pairs' scores."""

    label = "Spearman's ρ of cosines"
    unit = "value"
    range = (-1.0, 1.0)
    test_scale = "fisher"
    said = frozenset({"pairs"})
    counted_things = "pairs"

    def undefined(self, outputs: Any, targets: Any) -> str | None:
        """Where there are not two pairs, or cosines or scores never vary."""
        cosines, scores = self._pairs(outputs, targets)
        if len(cosines) < 2:
            return f"there are {len(cosines)} whole pairs"
        for what, numbers in (("cosines", cosines), ("scores", scores)):
            if np.ptp(numbers) == 0:
                return f"the {what} never vary"
        return None

    def units(self, targets: Any) -> NDArray[np.int64]:
        """The pairs' numbers."""
        return np.asarray(targets)[:, 0].astype(np.int64)

    def value(self, outputs: Any, targets: Any) -> float:
        """-1 to 1."""
        return Spearman().value(*self._pairs(outputs, targets))

    def influence(self, outputs: Any, targets: Any) -> NDArray[np.float64]:
        """Spearman's, of the pairs."""
        return self._on_first(targets, Spearman().influence(*self._pairs(outputs, targets)))

    def _counting(self, targets: Any) -> NDArray[np.bool_]:
        _, place, counts = np.unique(self.units(targets), return_inverse=True, return_counts=True)
        return np.asarray(counts[place] == 2)

    def _pairs(self, outputs: Any, targets: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Cosine and score of each whole pair, in the order of their numbers."""
        places = np.flatnonzero(self._counting(targets))
        one, other = places[np.argsort(self.units(targets)[places], kind="stable")].reshape(-1, 2).T
        unit = _unit(outputs)
        cosines = np.round((unit[one] * unit[other]).sum(axis=1), DECIMALS)
        return cosines, np.asarray(targets, np.float64)[one, 1]


class _Retrieval(_OfEmbeddings):
    """A mean over queries of how well what belongs to a query is ranked by cosine among all that is searched.

    Of equal cosines what does not belong to the query comes first, so that one answer to everything finds nothing.
    """

    lone_scale = "logit"
    said = frozenset({"ids", "queries"})
    counted_things = "ids with queries"

    @abstractmethod
    def _of_ranks(self, ranks: NDArray[np.int64]) -> float:
        """A query's number from the ranks, from 1 and ascending, of what belongs to it; at least one."""

    def undefined(self, outputs: Any, targets: Any) -> str | None:
        """Where nothing belongs to any query."""
        return None if self._counting(targets).any() else "nothing belongs to any query"

    def units(self, targets: Any) -> NDArray[np.int64]:
        """The ids."""
        return _ids(targets)[0]

    def value(self, outputs: Any, targets: Any) -> float:
        """0 to 1."""
        return float(self._each(outputs, targets).mean())

    def pseudo_values(self, outputs: Any, targets: Any) -> NDArray[np.float64]:
        """The value plus each id's influence on it; everything is ranked once."""
        each = self._each(outputs, targets)
        return float(each.mean()) + self._influence(each, targets)

    def influence(self, outputs: Any, targets: Any) -> NDArray[np.float64]:
        """(sum over an id's queries - V times their number) / the mean number; what is searched stays as it is."""
        return self._influence(self._each(outputs, targets), targets)

    def _influence(self, each: NDArray[np.float64], targets: Any) -> NDArray[np.float64]:
        """From one number a query."""
        _, place = np.unique(self.units(targets)[self._counting(targets)], return_inverse=True)
        sums, counts = np.bincount(place, each), np.bincount(place)
        return self._on_first(targets, (sums - each.mean() * counts) / counts.mean())

    def without(self, outputs: Any, targets: Any, places: NDArray[np.intp]) -> float:
        """The mean over the other queries; all examples are still searched."""
        queries = np.flatnonzero(self._counting(targets))
        return float(self._each(outputs, targets)[~np.isin(queries, places)].mean())

    def _counting(self, targets: Any) -> NDArray[np.bool_]:
        """Whether an example is a query to which something belongs."""
        ids, asks, found = _ids(targets)
        _, place = np.unique(ids, return_inverse=True)
        here = np.bincount(place, found)[place] - (asks & found)
        return np.asarray(asks & (here > 0))

    def _each(self, outputs: Any, targets: Any) -> NDArray[np.float64]:
        """One number a query that counts."""
        return np.array([self._of_ranks(ranks) for ranks in self._ranks(outputs, targets)])

    def _ranks(self, outputs: Any, targets: Any) -> Iterator[NDArray[np.int64]]:
        ids, _, found = _ids(targets)
        unit, documents = _unit(outputs), np.flatnonzero(found)
        queries = np.flatnonzero(self._counting(targets))
        for first in range(0, len(queries), AT_ONCE):
            some = queries[first : first + AT_ONCE]
            for query, cosines in zip(some, np.round(unit[some] @ unit[documents].T, DECIMALS), strict=True):
                others = documents != query
                belongs = (ids[documents] == ids[query]) & others
                strange = np.sort(-cosines[~belongs & others])
                near = np.sort(-cosines[belongs])
                yield np.searchsorted(strange, near, side="right") + np.arange(1, len(near) + 1)


class RecallAt1(_Retrieval):
    """The share of queries whose nearest neighbour by cosine belongs to them."""

    label = "recall@1"
    paper = "Jégou, Douze, Schmid 2011, section V"
    nearest: ClassVar[int] = 1

    def _of_ranks(self, ranks: NDArray[np.int64]) -> float:
        return float(ranks[0] <= self.nearest)


class RecallAt10(RecallAt1):
    """The share of queries with something that belongs to them among the ten nearest by cosine."""

    label = "recall@10"
    nearest = 10


class NDCGAt10(_Retrieval):
    """Normalized discounted cumulative gain of the ten nearest by cosine; what belongs to the query gains 1."""

    label = "nDCG@10"
    paper = "Järvelin, Kekäläinen 2002"

    def _of_ranks(self, ranks: NDArray[np.int64]) -> float:
        best = np.arange(1, min(len(ranks), 10) + 1)
        return float((1 / np.log2(ranks[ranks <= 10] + 1)).sum() / (1 / np.log2(best + 1)).sum())


class MeanReciprocalRank(_Retrieval):
    """The mean over queries of 1 / the rank by cosine of the first that belongs to the query."""

    label = "mean reciprocal rank"

    def _of_ranks(self, ranks: NDArray[np.int64]) -> float:
        return float(1 / ranks[0])


def _unit(outputs: Any) -> NDArray[np.float64]:
    """Rows (n, D) of length 1; one of zeros stays, and is similar to nothing."""
    rows = np.asarray(outputs, np.float64)
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-300))


def _ids(targets: Any) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Ids (n,), who asks, and who may be found."""
    rows = np.asarray(targets)
    if rows.ndim == 1:
        everybody = np.ones(len(rows), np.bool_)
        return rows.astype(np.int64), everybody, everybody
    asks = rows[:, 1] == 1
    return rows[:, 0].astype(np.int64), asks, ~asks
