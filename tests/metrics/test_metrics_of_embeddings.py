"""Metrics of embeddings: by hand, by scipy and scikit-learn, and over observations of several examples."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import label_ranking_average_precision_score, ndcg_score

from kdbench.errors import DataError
from kdbench.protocols import Metric, Output
from kdbench.protocols.metric import metric_named

RIGHT, NEAR, UP, LEFT = [1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-1.0, 0.0]


def judge(name: str, targets: str) -> Metric:
    return metric_named(name).judging(Output(kind="embedding", axes=(2,), targets=targets))


def searched(count: int = 120, documents: int = 80) -> tuple[np.ndarray, np.ndarray]:
    """Queries and documents of 20 ids in a space of 8: each query has 4 documents and 1 or more queries beside it."""
    draw = np.random.default_rng(0)
    ids = np.concatenate([np.arange(documents) % 20, draw.integers(0, 20, count - documents)])
    places = draw.normal(size=(20, 8))[ids] + draw.normal(size=(count, 8))
    return places, np.stack([ids, np.arange(count) >= documents], axis=1).astype(np.int64)


def cosines_and_truth() -> tuple[np.ndarray, np.ndarray]:
    places, targets = searched()
    unit = places / np.linalg.norm(places, axis=1, keepdims=True)
    asks = targets[:, 1] == 1
    return unit[asks] @ unit[~asks].T, targets[asks, :1] == targets[~asks, 0]


def test_ndcg_is_scikit_learns() -> None:
    cosines, truth = cosines_and_truth()
    found = judge("ndcg_at_10", "queries").value(*searched())
    assert found == pytest.approx(ndcg_score(truth.astype(int), cosines, k=10), abs=1e-12)


def test_a_reciprocal_rank_is_scikit_learns_where_one_document_belongs() -> None:
    cosines, truth = cosines_and_truth()
    first = np.zeros_like(truth)
    best = np.where(truth, cosines, -9).argmax(axis=1)
    first[np.arange(len(truth)), best] = True
    alone = np.where(truth & ~first, -9, cosines)  # the others that belong come last
    found = judge("mean_reciprocal_rank", "queries").value(*searched())
    assert found == pytest.approx(label_ranking_average_precision_score(first.astype(int), alone), abs=1e-12)


@pytest.mark.parametrize(("name", "nearest"), [("recall_at_1", 1), ("recall_at_10", 10)])
def test_recall_is_the_share_of_queries_with_one_of_theirs_among_the_nearest(name: str, nearest: int) -> None:
    cosines, truth = cosines_and_truth()
    order = np.argsort(-cosines, axis=1)[:, :nearest]
    expected = np.take_along_axis(truth, order, axis=1).any(axis=1).mean()
    assert judge(name, "queries").value(*searched()) == pytest.approx(expected)


def test_with_ids_every_example_is_searched_for_among_all_others() -> None:
    """RIGHT's and NEAR's neighbours are each other; UP's nearest is NEAR, LEFT's is UP. The fifth stands alone."""
    places = np.array([RIGHT, NEAR, UP, LEFT, [0.5, -1.0]])
    ids = np.array([7, 7, 3, 3, 5])
    assert judge("recall_at_1", "ids").value(places, ids) == 0.75
    # LEFT lies at a right angle to UP, as RIGHT does, which does not belong: NEAR, RIGHT, LEFT. To LEFT UP is nearest.
    assert judge("mean_reciprocal_rank", "ids").value(places, ids) == pytest.approx((1 + 1 + 1 / 3 + 1) / 4)


def test_one_answer_to_everything_finds_nothing() -> None:
    same = np.ones((40, 3))
    ids = np.arange(40) // 2
    assert judge("recall_at_1", "ids").value(same, ids) == 0
    assert judge("mean_reciprocal_rank", "ids").value(same, ids) == pytest.approx(1 / 39)


@pytest.mark.parametrize("name", ["recall_at_1", "recall_at_10", "ndcg_at_10", "mean_reciprocal_rank"])
@pytest.mark.parametrize("said", ["ids", "queries"])
def test_an_ids_influence_is_what_leaving_out_its_queries_and_documents_does(name: str, said: str) -> None:
    places, targets = searched()
    given = targets if said == "queries" else targets[:, 0]
    metric, ids = judge(name, said), targets[:, 0]
    without = np.array([metric.value(places[ids != number], given[ids != number]) for number in range(20)])
    each = metric.pseudo_values(places, given)
    assert each.mean() == pytest.approx(metric.value(places, given), abs=1e-12)
    found = np.bincount(ids, each - each.mean()) * 20 / len(ids)
    assert found == pytest.approx(19 * (without.mean() - without), abs=1e-12)


def pairs(count: int = 50) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(1)
    number = draw.permutation(np.arange(2 * count) // 2)
    score = draw.random(count)
    places = draw.normal(size=(count, 4))[number] * np.where(draw.random(2 * count) < score[number], 1, -1)[:, None]
    places += draw.normal(size=places.shape) / 2
    return places, np.stack([number, score[number]], axis=1)


def test_spearman_of_cosines_is_scipys() -> None:
    places, targets = pairs()
    cosines, scores = [], []
    for number in range(50):
        one, other = np.flatnonzero(targets[:, 0] == number)
        cosines.append(places[one] @ places[other] / np.linalg.norm(places[one]) / np.linalg.norm(places[other]))
        scores.append(targets[one, 1])
    found = judge("cosine_spearman", "pairs").value(places, targets)
    assert found == pytest.approx(spearmanr(cosines, scores).statistic, abs=1e-9)


def test_a_pair_is_one_observation() -> None:
    """The standard error over 100 examples is that over the 50 pairs, within what a linear approximation is off."""
    places, targets = pairs()
    metric = judge("cosine_spearman", "pairs")
    each = metric.pseudo_values(places, targets)
    assert each.mean() == pytest.approx(metric.value(places, targets), abs=1e-12)
    rests = [targets[:, 0] != number for number in range(50)]
    without = [metric.value(places[rest], targets[rest]) for rest in rests]
    jackknife = np.sqrt(49 / 50 * np.square(np.array(without) - np.mean(without)).sum())
    assert each.std() / np.sqrt(len(each)) == pytest.approx(jackknife, rel=0.1)


def test_half_a_pair_counts_nowhere() -> None:
    places, targets = pairs()
    lone = np.flatnonzero(targets[:, 0] == 7)[0]
    rest = np.delete(np.arange(len(targets)), lone)
    both = np.flatnonzero(targets[:, 0] != 7)
    metric = judge("cosine_spearman", "pairs")
    assert metric.value(places[rest], targets[rest]) == metric.value(places[both], targets[both])


def test_scale_of_an_embedding_does_not_matter() -> None:
    places, targets = searched()
    lengths = np.random.default_rng(2).uniform(0.1, 9, (len(places), 1))
    metric = judge("ndcg_at_10", "queries")
    assert metric.value(places * lengths, targets) == metric.value(places, targets)


def value_alone(targets: Any, **fields: Any) -> Any:
    """A metric of the value alone that judges embeddings, whose pairs are one observation."""

    class Own(Metric):
        kinds = frozenset({"embedding"})
        units = staticmethod(lambda targets: targets[:, 0].astype(np.int64))

        def value(self, outputs: Any, targets: Any) -> float:
            return judge("cosine_spearman", "pairs").value(outputs, targets)

    return Own()


def test_blocks_of_a_jackknife_keep_observations_whole() -> None:
    places, targets = pairs(400)
    exact = judge("cosine_spearman", "pairs").pseudo_values(places, targets)
    blocks = value_alone(targets).pseudo_values(places, targets)
    assert blocks.mean() == pytest.approx(exact.mean(), abs=1e-12)
    assert blocks.std() == pytest.approx(exact.std(), rel=0.35)  # 20 blocks: their own sd is known to 1/sqrt(40)


@pytest.mark.parametrize(
    ("name", "targets", "places", "rows", "said"),
    [
        ("recall_at_1", "ids", [RIGHT, UP], [1, 2], "nothing belongs to any query"),
        ("cosine_spearman", "pairs", [RIGHT, UP], [[1, 0.5], [1, 0.5]], "there are 1 whole pairs"),
        ("cosine_spearman", "pairs", [RIGHT] * 4, [[1, 0.5], [1, 0.5], [2, 1], [2, 1]], "the cosines never vary"),
    ],
)
def test_what_has_no_value_says_why(name: str, targets: str, places: Any, rows: Any, said: str) -> None:
    assert judge(name, targets).undefined(np.array(places), np.array(rows)) == said


def test_few_ids_have_values_only() -> None:
    assert judge("recall_at_1", "ids").few(np.arange(400) // 40) == "only 10 ids with queries"
    assert judge("recall_at_1", "ids").few(np.arange(400) // 10) is None
    assert judge("cosine_spearman", "pairs").few(pairs(15)[1]) == "only 15 pairs"


def test_targets_that_say_something_else_are_refused() -> None:
    with pytest.raises(DataError, match=r"the targets of 'logits' are ids, and the metric .* judges pairs"):
        judge("cosine_spearman", "ids")
