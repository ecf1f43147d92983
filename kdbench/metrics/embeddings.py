"""Metrics of embeddings by their cosines: do similar examples lie near each other, is what belongs together found.

Examples that share a number (`kdbench.protocols.data.Output.targets`) are one observation: they lie near each other and
fall together. An id also stands in the way of others' queries, so that what it owes to the value is found by leaving
out its queries and its documents. Of 100 tables of two alike cases, intervals over single queries told them apart in 5
to 14, over the queries of ids in up to 11, over whole ids in 1 to 6 (report/statistics/metric-levels.md).

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
        moved = Spearman().influence(*self._pairs(outputs, targets))
        return _on_first(self.units(targets), np.flatnonzero(self._counting(targets)), moved)

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
    def _of_ranks(self, ranks: NDArray[np.int64]) -> NDArray[np.float64]:
        """A query's number (...,) from the ranks (..., B), from 1 and ascending, of the B that belong to it."""

    def undefined(self, outputs: Any, targets: Any) -> str | None:
        """Where nothing belongs to any query."""
        return None if self._counting(targets).any() else "nothing belongs to any query"

    def units(self, targets: Any) -> NDArray[np.int64]:
        """The ids."""
        return _ids(targets)[0]

    def value(self, outputs: Any, targets: Any) -> float:
        """0 to 1."""
        return self._left_out(outputs, targets)[0]

    def pseudo_values(self, outputs: Any, targets: Any) -> NDArray[np.float64]:
        """The value plus each id's influence on it; everything is ranked once."""
        value, without = self._left_out(outputs, targets)
        return value + self._influence(without, targets)

    def influence(self, outputs: Any, targets: Any) -> NDArray[np.float64]:
        """(K - 1) (mean of the V_-i - V_-i) of the K ids: V_-i is the value without an id's queries and documents."""
        return self._influence(self._left_out(outputs, targets)[1], targets)

    def _influence(self, without: NDArray[np.float64], targets: Any) -> NDArray[np.float64]:
        moved = (len(without) - 1) * (without.mean() - without)
        return _on_first(self.units(targets), np.arange(len(targets)), moved)

    def _counting(self, targets: Any) -> NDArray[np.bool_]:
        """Whether an example is a query to which something belongs."""
        ids, asks, found = _ids(targets)
        _, place = np.unique(ids, return_inverse=True)
        here = np.bincount(place, found)[place] - (asks & found)
        return np.asarray(asks & (here > 0))

    def _left_out(self, outputs: Any, targets: Any) -> tuple[float, NDArray[np.float64]]:
        """The value, and (K,) the value without each id, in the order of their numbers.

        An id that goes takes its queries along, and what it has among the documents stands before nothing any more.
        """
        _, place = np.unique(self.units(targets), return_inverse=True)
        queries = np.flatnonzero(self._counting(targets))
        counts = np.bincount(place[queries], minlength=int(place.max()) + 1)
        whole, moved = 0.0, np.zeros(len(counts))
        for query, (rivals, before) in zip(queries, self._rivals(outputs, targets, place, queries), strict=True):
            ranks = before.sum(axis=0) + np.arange(1, before.shape[1] + 1)
            number = self._of_ranks(ranks)
            whole += float(number)
            moved[rivals] += self._of_ranks(ranks - before) - number
            moved[place[query]] -= number
        others = np.maximum(len(queries) - counts, 1)
        return whole / len(queries), (whole + moved) / others

    def _rivals(
        self, outputs: Any, targets: Any, place: NDArray[np.intp], queries: NDArray[np.intp]
    ) -> Iterator[tuple[NDArray[np.intp], NDArray[np.int64]]]:
        """For each query the ids (R,) of what is ranked before anything that belongs to it, and how many of each id
        stand before each of the B that belong (R, B), the nearest first."""
        _, _, found = _ids(targets)
        unit, documents = _unit(outputs), np.flatnonzero(found)
        for first in range(0, len(queries), AT_ONCE):
            some = queries[first : first + AT_ONCE]
            for query, cosines in zip(some, np.round(unit[some] @ unit[documents].T, DECIMALS), strict=True):
                belongs = place[documents] == place[query]
                near = -np.sort(-cosines[belongs & (documents != query)])
                ahead = ~belongs & (cosines >= near[-1])
                rivals, which = np.unique(place[documents[ahead]], return_inverse=True)
                cells = which[:, None] * len(near) + np.arange(len(near))
                stands = cosines[ahead][:, None] >= near
                counts = np.bincount(cells[stands], minlength=len(rivals) * len(near))
                yield rivals, counts.reshape(len(rivals), len(near))


class RecallAt1(_Retrieval):
    """The share of queries whose nearest neighbour by cosine belongs to them."""

    label = "recall@1"
    paper = "Jégou, Douze, Schmid 2011, section V"
    nearest: ClassVar[int] = 1

    def _of_ranks(self, ranks: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.asarray(ranks[..., 0] <= self.nearest, np.float64)


class RecallAt10(RecallAt1):
    """The share of queries with something that belongs to them among the ten nearest by cosine."""

    label = "recall@10"
    nearest = 10


class NDCGAt10(_Retrieval):
    """Normalized discounted cumulative gain of the ten nearest by cosine; what belongs to the query gains 1."""

    label = "nDCG@10"
    paper = "Järvelin, Kekäläinen 2002"

    def _of_ranks(self, ranks: NDArray[np.int64]) -> NDArray[np.float64]:
        best = np.arange(1, min(ranks.shape[-1], 10) + 1)
        gains = np.where(ranks <= 10, 1 / np.log2(ranks + 1), 0.0)
        return np.asarray(gains.sum(axis=-1) / (1 / np.log2(best + 1)).sum())


class MeanReciprocalRank(_Retrieval):
    """The mean over queries of 1 / the rank by cosine of the first that belongs to the query."""

    label = "mean reciprocal rank"

    def _of_ranks(self, ranks: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.asarray(1 / ranks[..., 0])


def _on_first(
    units: NDArray[np.int64], places: NDArray[np.intp], influence: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(n,) from one number a unit of the examples at `places`, in the units' order: each on its first example.

    Times examples over units, so that the spread over examples is right for a mean over units.
    """
    _, first = np.unique(units[places], return_index=True)
    found = np.zeros(len(units))
    found[places[first]] = influence * len(units) / len(first)
    return found


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
