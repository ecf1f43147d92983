"""Each metric's value against scikit-learn or by hand, and what none of them answers."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn import metrics as sk

from kdbench.errors import DataError
from kdbench.evidence.comparisons import _on_scale
from kdbench.evidence.differences import examples_difference
from kdbench.evidence.intervals import influence_interval, informed_df
from kdbench.metrics.error_rates import edits
from kdbench.protocols.data import Output
from kdbench.protocols.metric import metric_named
from kdbench.testing.metrics import drawn


def value(name: str, outputs: Any, targets: Any, **output: Any) -> float:
    described = {"axes": (2,), "class_names": ("a", "b"), **output}
    return metric_named(name).judging(Output(**described)).value(outputs, targets)


def of(name: str, kind: str) -> tuple[float, Any, Any]:
    judge, outputs, targets = drawn(metric_named(name), kind)
    return judge.value(outputs, targets), outputs, targets


def softmax(logits: Any) -> Any:
    shares = np.exp(logits.astype(np.float64))
    return shares / shares.sum(axis=1, keepdims=True)


def test_metrics_of_classes_agree_with_scikit_learn() -> None:
    found, outputs, targets = of("macro_f1", "classes")
    assert found == pytest.approx(sk.f1_score(targets, outputs, average="macro"))
    found, outputs, targets = of("balanced_accuracy", "classes")
    assert found == pytest.approx(sk.balanced_accuracy_score(targets, outputs))
    found, outputs, targets = of("f1", "classes")
    assert found == pytest.approx(sk.f1_score(targets, outputs))
    found, outputs, targets = of("auc", "classes")
    assert found == pytest.approx(sk.roc_auc_score(targets, softmax(outputs), multi_class="ovr"))
    found, outputs, targets = of("log_loss", "classes")
    assert found == pytest.approx(sk.log_loss(targets, softmax(outputs)), rel=1e-5)
    found, outputs, targets = of("top5", "classes")
    assert found == pytest.approx(sk.top_k_accuracy_score(targets, outputs, k=5))


def test_metrics_of_labels_agree_with_scikit_learn() -> None:
    found, outputs, targets = of("macro_f1", "multilabel")
    assert found == pytest.approx(sk.f1_score(targets, outputs, average="macro"))
    found, outputs, targets = of("micro_f1", "multilabel")
    assert found == pytest.approx(sk.f1_score(targets, outputs, average="micro"))
    found, outputs, targets = of("average_precision", "multilabel")
    assert found == pytest.approx(sk.average_precision_score(targets, outputs, average="macro"))


def test_metrics_of_values_agree_with_other_libraries() -> None:
    found, outputs, targets = of("rmse", "values")
    assert found == pytest.approx(sk.mean_squared_error(targets, outputs) ** 0.5)
    assert of("mae", "values")[0] == pytest.approx(sk.mean_absolute_error(targets, outputs))
    assert of("r2", "values")[0] == pytest.approx(sk.r2_score(targets, outputs))
    pairs = list(zip(outputs.T, targets.T, strict=True))
    assert of("pearson", "values")[0] == pytest.approx(np.mean([pearsonr(a, b).statistic for a, b in pairs]))
    assert of("spearman", "values")[0] == pytest.approx(np.mean([spearmanr(a, b).statistic for a, b in pairs]))


def test_ties_share_their_rank() -> None:
    answers = np.array([[1.0], [1.0], [2.0], [3.0], [3.0]])
    truth = np.array([[0.0], [1.0], [1.0], [2.0], [3.0]])
    found = value("spearman", answers, truth, kind="values", axes=(1,), class_names=())
    assert found == pytest.approx(spearmanr(answers[:, 0], truth[:, 0]).statistic)
    scores, hits = np.array([[0.0, 1.0]] * 3 + [[0.0, 2.0]]), np.array([1, 0, 0, 1])
    assert value("auc", scores, hits) == pytest.approx(sk.roc_auc_score(hits, scores[:, 1]))


def test_metrics_of_places_count_what_is_real() -> None:
    """Two images of two places; the ignored place is wrong, and does not count."""
    truth = np.array([[[0, 1]], [[1, 255]]])
    answers = np.array([[[0, 0]], [[1, 0]]])
    said = {"kind": "dense_classes", "axes": (2, 1, 2), "ignore": 255}
    assert value("pixel_accuracy", answers, truth, **said) == pytest.approx(2 / 3)
    assert value("mean_iou", answers, truth, **said) == pytest.approx((1 / 2 + 1 / 2) / 2)
    found, outputs, targets = of("mean_iou", "dense_classes")
    kept = targets != 255
    assert found == pytest.approx(sk.jaccard_score(targets[kept], outputs[kept], average="macro"))


def test_entities_are_found_whole_or_not() -> None:
    """One of two entities is found; an I- of another type begins one."""
    tags = ("O", "B-PER", "I-PER", "I-LOC")
    said = {"kind": "token_classes", "axes": (6, 4), "class_names": tags, "ignore": -1}
    truth = [np.array([1, 2, 0, 3, -1])]
    assert value("entity_f1", [np.array([1, 2, 0, 3, 3])], truth, **said) == 1.0
    assert value("entity_f1", [np.array([1, 0, 0, 3, 0])], truth, **said) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("one", "other", "count"),
    [("kitten", "sitting", 3), ("", "abc", 3), ("abc", "", 3), ("flaw", "lawn", 2), ("same", "same", 0)],
)
def test_edits_between_words(one: str, other: str, count: int) -> None:
    assert edits(one, other) == count


def test_word_and_token_error_rates() -> None:
    """'a b' for 'a bb c': one word replaced, one missing of three; 'a b' needs three more symbols of six."""
    said = {"kind": "sequence", "axes": (9, 5), "class_names": ("", "a", "b", "c", " ")}
    answered, truth = [np.array([1, 4, 2])], [np.array([1, 4, 2, 2, 4, 3])]
    assert value("word_error_rate", answered, truth, **said) == pytest.approx(2 / 3)
    assert value("token_error_rate", answered, truth, **said) == pytest.approx(3 / 6)
    words = {"kind": "sequence", "axes": (9, 3), "class_names": ("", "hello", "world")}
    assert value("word_error_rate", [np.array([1])], [np.array([1, 2])], **words) == pytest.approx(1 / 2)


def test_calibration_error_by_hand() -> None:
    """Four answers of confidence 0.75, two of them right: a quarter too sure."""
    logits = np.log(np.array([[0.75, 0.25]] * 4))
    assert value("calibration_error", logits, np.array([0, 0, 1, 1])) == pytest.approx(0.25)


CLASSES = {"axes": (2,), "class_names": ("a", "b")}
VALUES = {"kind": "values", "axes": (1,)}


@pytest.mark.parametrize(
    ("name", "outputs", "targets", "output", "said"),
    [
        ("f1", np.zeros(3, int), np.zeros(3, int), CLASSES, "no example is positive"),
        ("auc", np.zeros((3, 2)), np.ones(3, int), CLASSES, "every example has 'b'"),
        ("r2", np.ones((3, 1)), np.ones((3, 1)), VALUES, "the targets never vary"),
        ("pearson", np.ones((3, 1)), np.arange(3.0)[:, None], VALUES, "the answers never vary"),
        ("top5", np.zeros((3, 2)), np.zeros(3, int), CLASSES, "there are 2 classes, and any is among the five highest"),
        ("f1", np.zeros(3, int), np.zeros(3, int), {"axes": (3,), "class_names": ("a", "b", "c")},
         "F1 is for two classes and there are 3; macro_f1 is for more"),
        ("micro_f1", np.zeros((2, 2)), np.zeros((2, 2)), {**CLASSES, "kind": "multilabel"}, "no example has a label"),
    ],
)  # fmt: skip
def test_what_has_no_value_says_why(name: str, outputs: Any, targets: Any, output: dict[str, Any], said: str) -> None:
    assert metric_named(name).judging(Output(**output)).undefined(outputs, targets) == said


def test_few_examples_or_a_rare_class_have_values_only() -> None:
    truth = np.array([0] * 93 + [1] * 7)
    metric = metric_named("macro_f1").judging(Output(**CLASSES))
    assert metric.few(truth) == "only 7 of 100 examples have 'b'"
    assert metric.few(truth[-19:]) == "only 19 examples"
    assert metric.few(np.array([0, 1] * 50)) is None
    assert metric_named("accuracy").few(truth) is None


def test_a_metric_of_another_kind_is_refused() -> None:
    with pytest.raises(DataError, match="'logits' is of kind classes, and the metric RMSE judges values; name another"):
        metric_named("rmse").judging(Output(**CLASSES))


def test_degrees_of_freedom_follow_how_many_examples_differ() -> None:
    """Where k of m differ by as much, and the rest are equal, the kurtosis is about m / k: 2 k degrees of freedom."""
    few = np.zeros(1000)
    few[:8] = [1, -1] * 4
    assert informed_df(few) == pytest.approx(16, rel=0.05)
    assert informed_df(np.random.default_rng(0).normal(size=1000)) > 800
    assert informed_df(np.zeros(50)) == 49
    assert examples_difference(few[None]).p == pytest.approx(1.0)


def test_a_lone_rate_keeps_within_its_range() -> None:
    each = np.array([1.0] * 98 + [0.0] * 2)
    found = influence_interval(0.98, each, on_logit=True)
    assert found.low is not None
    assert found.high is not None
    assert 0.85 < found.low < 0.98 < found.high < 1.0


def test_correlations_are_tested_where_they_are_normal() -> None:
    class Answers:
        pseudo_values = np.array([0.7, 0.9])

    on_z = _on_scale(metric_named("pearson"), Answers())  # type: ignore[arg-type]
    assert on_z.mean() == pytest.approx(np.arctanh(0.8))
    assert on_z[1] - on_z[0] == pytest.approx(0.2 / (1 - 0.64))
    on_logs = _on_scale(metric_named("r2"), Answers())  # type: ignore[arg-type]
    assert on_logs.mean() == pytest.approx(-np.log(0.2))


def test_average_precision_needs_twenty_examples_of_each_label() -> None:
    metric = metric_named("average_precision").judging(Output(kind="multilabel", axes=(2,), class_names=("a", "b")))
    labels = np.stack([np.arange(200) < 100, np.arange(200) < 19], axis=1).astype(np.float32)
    assert metric.few(labels) == "only 19 of 200 examples have 'b'"
    labels[-1, 1] = 1
    assert metric.few(labels) is None
