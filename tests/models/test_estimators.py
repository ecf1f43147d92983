"""Students that are no networks: what they learn agrees with scikit-learn's own, and so does their file."""

import numpy as np
import onnxruntime
import pytest
from pydantic import ValidationError
from sklearn.datasets import load_digits
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from kdbench.errors import ModelError
from kdbench.models import estimators
from kdbench.models.estimator_graphs import whole
from kdbench.models.estimators import Estimator
from kdbench.models.fitted_estimators import Fitted, Lesson
from kdbench.protocols import TaskDescription

pytest.importorskip("skl2onnx")

SMALL: list[Estimator] = [
    estimators.DecisionTree(),
    estimators.DecisionTree(max_depth=4, leaf_examples=5),
    estimators.RandomForest(tree_count=5),
    estimators.GradientBoosting(rounds=3),
    estimators.Linear(),
    estimators.SVM(),
    estimators.SVM(kernel="linear", cost=0.1),
    estimators.NearestNeighbours(),
]
TASK = TaskDescription.classification(
    input_names=("image",), input_shapes=((1, 8, 8),), class_names=tuple("0123456789"), example_counts={}
)


def _digits() -> tuple[np.ndarray, np.ndarray]:
    images, targets = load_digits(return_X_y=True)
    return ((images / 16 - 0.306) / 0.376).astype(np.float32), targets.astype(np.int64)


INPUTS, TARGETS = _digits()
EXACT = INPUTS.astype(np.float64)
TRAIN, TEST = slice(0, 500), slice(500, 900)


def _soft(seed: int = 0) -> np.ndarray:
    """Distributions whose highest share is mostly the label's."""
    logits = np.random.default_rng(seed).normal(size=(500, 10)) + 4 * np.eye(10)[TARGETS[TRAIN]]
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return shares.astype(np.float32)


def _lesson(targets: np.ndarray | None = None, seed: int = 0) -> Lesson:
    return Lesson(INPUTS[TRAIN], TARGETS[TRAIN] if targets is None else targets, 10, seed, threads=1)


def _file(fitted: Fitted, task: TaskDescription = TASK) -> onnxruntime.InferenceSession:
    features = int(np.prod(task.input_shapes[0]))
    model = whole(fitted.graph(features, 20), task, 20)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("model", SMALL, ids=str)
@pytest.mark.parametrize("taught", ["classes", "shares", "logits"])
def test_the_file_takes_images_at_any_batch_and_decides_as_scikit_learn_does(model: Estimator, taught: str) -> None:
    targets = {"classes": TARGETS[TRAIN], "shares": _soft(), "logits": np.log(_soft())}[taught]
    fitted = model.fit(_lesson(targets))
    session = _file(fitted)
    expected = fitted.scores(INPUTS[TEST])
    for batch in (1, 7, 400):
        images = INPUTS[TEST][:batch].reshape(-1, 1, 8, 8)
        (got,) = session.run(["logits"], {"image": images})
        assert got.shape == (batch, 10)
        assert got.dtype == np.float32
        assert (got.argmax(1) == expected[:batch].argmax(1)).mean() > 0.99
    # an exact tie between the fifth and the sixth neighbour may go either way; there is none in anything else
    close = np.abs(got - expected).max(1) < 1e-4
    assert close.mean() > 0.95 if isinstance(model, estimators.NearestNeighbours) else close.all()


@pytest.mark.parametrize("model", SMALL, ids=str)
def test_the_same_seed_gives_the_same_bytes(model: Estimator) -> None:
    files = [whole(model.fit(_lesson()).graph(64, 20), TASK, 20).SerializeToString() for _ in range(2)]
    assert files[0] == files[1]


def test_a_files_operators_are_the_two_standard_domains_and_it_holds_no_traces_of_its_maker() -> None:
    for model in SMALL:
        made = whole(model.fit(_lesson()).graph(64, 20), TASK, 20)
        assert {opset.domain for opset in made.opset_import} <= {"", "ai.onnx.ml"}
        assert not made.producer_name
        assert not made.doc_string
        assert all(not node.doc_string and not node.metadata_props for node in made.graph.node)


def test_a_tree_on_labels_is_ginis() -> None:
    """One-hot squared error, summed over classes, is the Gini impurity; only ties between splits are drawn apart."""
    ours = estimators.DecisionTree(max_depth=5).fit(_lesson()).scores(INPUTS[TRAIN])
    gini = DecisionTreeClassifier(max_depth=5, random_state=0).fit(INPUTS[TRAIN], TARGETS[TRAIN])
    assert np.abs(ours - gini.predict_proba(INPUTS[TRAIN])).max() < 1e-6


def test_neighbours_on_labels_vote_as_the_classifier_does() -> None:
    ours = estimators.NearestNeighbours(neighbours=3).fit(_lesson()).scores(INPUTS[TEST])
    theirs = KNeighborsClassifier(3, algorithm="brute").fit(INPUTS[TRAIN], TARGETS[TRAIN])
    assert np.abs(ours - theirs.predict_proba(INPUTS[TEST])).max() < 1e-6


def test_boosting_on_labels_is_log_loss_boosting() -> None:
    ours = estimators.GradientBoosting(rounds=3).fit(_lesson()).scores(INPUTS[TEST])
    theirs = GradientBoostingClassifier(n_estimators=3, max_features="sqrt", random_state=0)
    expected = theirs.fit(INPUTS[TRAIN], TARGETS[TRAIN]).predict_proba(INPUTS[TEST])
    assert np.abs(ours - expected).max() < 1e-6


def test_machines_are_one_against_the_rest() -> None:
    ours = estimators.SVM(cost=3.0, gamma=0.02).fit(_lesson()).scores(INPUTS[TEST])
    theirs = OneVsRestClassifier(SVC(C=3.0, gamma=0.02)).fit(INPUTS[TRAIN], TARGETS[TRAIN])
    assert np.abs(ours - theirs.decision_function(INPUTS[TEST])).max() < 1e-5


def test_linear_machines_are_one_matrix() -> None:
    fitted = estimators.SVM(kernel="linear", cost=0.1).fit(_lesson())
    theirs = OneVsRestClassifier(SVC(C=0.1, kernel="linear")).fit(INPUTS[TRAIN], TARGETS[TRAIN])
    assert np.abs(fitted.scores(INPUTS[TEST]) - theirs.decision_function(INPUTS[TEST])).max() < 1e-4
    assert sum(array.size for array in fitted.numbers()) == 64 * 10 + 10


def test_linear_on_labels_is_scikit_learns_logistic_regression() -> None:
    ours = estimators.Linear(penalty=0.01).fit(_lesson()).scores(INPUTS[TEST])
    theirs = LogisticRegression(C=1 / (0.01 * 500), tol=1e-8, max_iter=5000).fit(EXACT[TRAIN], TARGETS[TRAIN])
    expected = theirs.decision_function(INPUTS[TEST])
    # scores are the same up to a constant an example, which changes no probability
    centred = [scores - scores.mean(1, keepdims=True) for scores in (ours, expected)]
    assert np.abs(centred[0] - centred[1]).max() < 1e-3


def test_linear_on_probabilities_is_logistic_regression_on_every_class_with_its_weight() -> None:
    """Independent: each example ten times, once a class, weighted with the class's share."""
    ours = estimators.Linear(penalty=0.01).fit(_lesson(_soft())).scores(INPUTS[TEST])
    repeated, classes = np.repeat(EXACT[TRAIN], 10, axis=0), np.tile(np.arange(10), 500)
    theirs = LogisticRegression(C=1 / (0.01 * 500), tol=1e-8, max_iter=5000)
    expected = theirs.fit(repeated, classes, sample_weight=_soft().reshape(-1).astype(float)).decision_function(
        INPUTS[TEST]
    )
    centred = [scores - scores.mean(1, keepdims=True) for scores in (ours, expected)]
    assert np.abs(centred[0] - centred[1]).max() < 2e-3


def test_linear_on_logits_is_least_squares() -> None:
    logits = np.log(_soft())
    ours = estimators.Linear(penalty=0.01).fit(_lesson(logits)).scores(INPUTS[TEST])
    theirs = Ridge(alpha=0.01 * 500).fit(INPUTS[TRAIN].astype(np.float64), logits)
    assert np.abs(ours - theirs.predict(INPUTS[TEST])).max() < 1e-3


def test_machines_take_the_highest_of_soft_targets() -> None:
    soft = estimators.SVM().fit(_lesson(_soft()))
    hard = estimators.SVM().fit(_lesson(_soft().argmax(1)))
    assert np.array_equal(soft.scores(INPUTS[TEST]), hard.scores(INPUTS[TEST]))


def test_a_tree_answers_with_the_mean_of_what_a_leaf_was_taught() -> None:
    """By hand: two leaves, split at the first input; each holds the mean of its two rows."""
    inputs = np.array([[0.0], [1.0], [10.0], [11.0]], np.float32)
    taught = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.0, 1.0]], np.float32)
    fitted = estimators.DecisionTree(max_depth=1).fit(Lesson(inputs, taught, 2, 0, 1))
    expected = np.array([[0.8, 0.2], [0.8, 0.2], [0.1, 0.9], [0.1, 0.9]], np.float32)
    assert np.abs(fitted.scores(inputs) - expected).max() < 1e-6
    threshold, leaves = fitted.numbers()
    assert threshold.tolist() == [5.5]
    assert leaves.size == 4


def test_numbers_and_multiply_accumulates_are_those_counted_by_hand() -> None:
    linear = estimators.Linear().fit(_lesson())
    assert sum(array.size for array in linear.numbers()) == 64 * 10 + 10
    assert linear.mac_count == 64 * 10
    neighbours = estimators.NearestNeighbours().fit(_lesson())
    assert sum(array.size for array in neighbours.numbers()) == 500 * (64 + 10)
    assert neighbours.mac_count == 500 * 64
    machines = estimators.SVM().fit(_lesson())
    vectors = len(machines.numbers()[0])
    assert sum(array.size for array in machines.numbers()) == vectors * (64 + 10) + 10
    assert machines.mac_count == vectors * (64 + 10)
    assert estimators.DecisionTree().fit(_lesson()).mac_count is None


def test_a_forests_numbers_are_its_trees() -> None:
    fitted = estimators.RandomForest(tree_count=3, max_depth=2).fit(_lesson())
    splits, leaves = fitted.numbers()[::2], fitted.numbers()[1::2]
    assert len(splits) == len(leaves) == 3
    for thresholds, values in zip(splits, leaves, strict=True):
        assert len(values) == len(thresholds) + 1 <= 4  # a binary tree has one leaf more than decisions
        assert values.size == 10 * len(values)


def test_a_class_that_nobody_taught_is_never_the_answer() -> None:
    known = TARGETS[TRAIN] % 9
    for model in (estimators.DecisionTree(), estimators.SVM(), estimators.NearestNeighbours(), estimators.Linear()):
        fitted = model.fit(_lesson(known))
        (got,) = _file(fitted).run(None, {"image": INPUTS[TEST].reshape(-1, 1, 8, 8)})
        assert got.shape == (400, 10)
        assert 9 not in got.argmax(1)
    with pytest.raises(
        ModelError, match="an example of each of the 10 classes, and it is taught 9 of them; use random"
    ):
        estimators.GradientBoosting(rounds=2).fit(_lesson(known))


@pytest.mark.parametrize("model", SMALL, ids=str)
def test_two_classes_are_two_scores(model: Estimator) -> None:
    task = TASK.model_copy(update={"class_names": ("a", "b")})
    fitted = model.fit(Lesson(INPUTS[TRAIN], TARGETS[TRAIN] % 2, 2, 0, 1))
    (got,) = _file(fitted, task).run(None, {"image": INPUTS[TEST].reshape(-1, 1, 8, 8)})
    assert got.shape == (400, 2)
    assert (got.argmax(1) == fitted.scores(INPUTS[TEST]).argmax(1)).mean() > 0.99
    assert (got.argmax(1) == TARGETS[TEST] % 2).mean() > 0.75


def test_one_class_alone_is_refused_by_machines_and_too_many_neighbours_by_neighbours() -> None:
    with pytest.raises(ModelError, match="svm tells classes apart, and it is taught a single one"):
        estimators.SVM().fit(_lesson(np.zeros(500, np.int64)))
    with pytest.raises(ModelError, match="asks for 501 neighbours of 500 examples; ask fewer"):
        estimators.NearestNeighbours(neighbours=501).fit(_lesson())


@pytest.mark.parametrize(
    ("cls", "fields"),
    [
        ("DecisionTree", {"max_depth": 0}),
        ("DecisionTree", {"copies": -1}),
        ("RandomForest", {"tree_count": 0}),
        ("GradientBoosting", {"learning_rate": 0.0}),
        ("Linear", {"penalty": 0.0}),
        ("SVM", {"kernel": "poly"}),
        ("NearestNeighbours", {"neighbours": 0}),
        ("NearestNeighbours", {"noise": -0.1}),
    ],
)
def test_bad_fields_are_refused(cls: str, fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        getattr(estimators, cls).from_fields(fields)


def test_a_package_that_is_not_installed_is_named_with_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    assert estimators.DecisionTree().missing() is None
    monkeypatch.setattr(estimators.DecisionTree, "packages", frozenset({"no-such-package"}))
    expected = "no-such-package is not installed; type: pip install 'kdbench[estimators]'"
    assert estimators.DecisionTree().missing() == expected


def test_threads_change_nothing_that_a_forest_says() -> None:
    answers = [
        estimators.RandomForest(tree_count=7)
        .fit(Lesson(INPUTS[TRAIN], TARGETS[TRAIN], 10, 3, threads))
        .scores(INPUTS[TEST])
        for threads in (1, 2)
    ]
    assert np.array_equal(*answers)
