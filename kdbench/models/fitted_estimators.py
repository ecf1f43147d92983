"""Fitting estimators: what each learns from, how it is fitted, what it answers and holds. Knows no stage."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.multioutput import MultiOutputRegressor
from sklearn.neighbors import KNeighborsRegressor
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeRegressor
from torch.nn import functional as F

from kdbench.errors import ModelError
from kdbench.models import estimator_graphs as graphs
from kdbench.models.estimator_graphs import Floats, Graph

STEPS = 1000
"""Most iterations of L-BFGS; digits takes about a hundred."""


@dataclass(frozen=True)
class Lesson:
    """What an estimator learns from: flattened inputs, float32 (N, F); targets, int64 (N,) or float32 (N, classes).

    Of values, the targets are float32 (N, values).
    """

    inputs: Floats
    targets: NDArray[Any]
    class_count: int
    """0 where values are learnt."""
    seed: int
    threads: int

    @cached_property
    def are_classes(self) -> bool:
        return self.targets.ndim == 1

    @cached_property
    def classes(self) -> NDArray[np.int64]:
        """(N,): the classes taught, or the class of each highest score."""
        found: NDArray[np.int64] = self.targets if self.are_classes else self.targets.argmax(1)
        return found

    @cached_property
    def scores(self) -> Floats:
        """(N, classes): the scores taught, or the classes as one-hot rows."""
        return np.eye(self.class_count, dtype=np.float32)[self.targets] if self.are_classes else self.targets

    @cached_property
    def columns(self) -> Floats:
        """The scores as scikit-learn's trees want them: (N,) where there is one an example."""
        return self.scores[:, 0] if self.scores.shape[1] == 1 else self.scores

    @cached_property
    def are_shares(self) -> bool:
        """Whether every row of scores is a distribution over the classes."""
        return self.class_count > 0 and bool((self.scores >= 0).all() and np.abs(self.scores.sum(1) - 1).max() < 1e-3)


class Fitted(ABC):
    """A fitted estimator."""

    mac_rule: ClassVar[str]

    @abstractmethod
    def scores(self, inputs: Floats) -> Floats:
        """Scores (N, classes) of inputs (N, F), as scikit-learn or numpy computes them."""

    @abstractmethod
    def numbers(self) -> list[NDArray[Any]]:
        """Every number that was learnt; `parameter_count` counts them."""

    @abstractmethod
    def graph(self, feature_count: int, opset: int) -> Graph:
        """The fitted function in ONNX."""

    @property
    def mac_count(self) -> int | None:
        """Multiply-accumulates of one example; None for an estimator that multiplies nothing."""
        return None


@dataclass(frozen=True)
class Trees(Fitted):
    """One tree or many. Numbers: the thresholds of decisions and the values of leaves."""

    mac_rule: ClassVar[str] = "none to count: trees compare and add"

    estimator: Any

    def scores(self, inputs: Floats) -> Floats:
        answer = getattr(self.estimator, "predict_proba", self.estimator.predict)
        scores: Floats = answer(inputs).astype(np.float32)
        return scores.reshape(len(inputs), -1)  # scikit-learn gives one value an example as (N,)

    def numbers(self) -> list[NDArray[Any]]:
        found = []
        for tree in _trees(self.estimator):
            leaf = tree.children_left == -1
            found += [tree.threshold[~leaf], tree.value[leaf]]
        return found

    def graph(self, feature_count: int, opset: int) -> Graph:
        return graphs.trees(self.estimator, feature_count, opset)


def _trees(estimator: Any) -> list[Any]:
    """The trees of an estimator, however deep scikit-learn keeps them."""
    if hasattr(estimator, "tree_"):
        return [estimator.tree_]
    return [tree for inner in np.ravel(estimator.estimators_) for tree in _trees(inner)]


@dataclass(frozen=True)
class Matrix(Fitted):
    """weights: (classes, F); offset: (classes,)."""

    mac_rule: ClassVar[str] = "multiply-accumulates of the matrix product"

    weights: Floats
    offset: Floats

    def scores(self, inputs: Floats) -> Floats:
        scores: Floats = inputs @ self.weights.T + self.offset
        return scores

    def numbers(self) -> list[NDArray[Any]]:
        return [self.weights, self.offset]

    @property
    def mac_count(self) -> int:
        return self.weights.size

    def graph(self, feature_count: int, opset: int) -> Graph:
        return graphs.matrix(self.weights, self.offset)


@dataclass(frozen=True)
class Machines(Fitted):
    """Support vector machines with an rbf kernel, one a class, over the support vectors of all of them.

    vectors: (S, F); duals: (S, classes); offset: (classes,). Numbers: these three.
    """

    mac_rule: ClassVar[str] = "multiply-accumulates of the distances to all support vectors and of their weighted sum"

    machines: tuple[SVC | None, ...]
    """None for a class without an example, whose score is always -1."""
    vectors: Floats
    duals: Floats
    offset: Floats
    gamma: float

    def scores(self, inputs: Floats) -> Floats:
        columns = [
            np.full(len(inputs), -1.0) if machine is None else machine.decision_function(inputs)
            for machine in self.machines
        ]
        return np.stack(columns, 1).astype(np.float32)

    def numbers(self) -> list[NDArray[Any]]:
        return [self.vectors, self.duals, self.offset]

    @property
    def mac_count(self) -> int:
        return self.vectors.size + self.duals.size

    def graph(self, feature_count: int, opset: int) -> Graph:
        return graphs.kernel(self.vectors, self.duals, self.offset, self.gamma)


@dataclass(frozen=True)
class Neighbours(Fitted):
    """The lesson itself. Numbers: its inputs and its targets, a score each class."""

    mac_rule: ClassVar[str] = "multiply-accumulates of the distances to all stored examples"

    estimator: KNeighborsRegressor
    vectors: Floats
    answers: Floats

    def scores(self, inputs: Floats) -> Floats:
        scores: Floats = self.estimator.predict(inputs).astype(np.float32)
        return scores

    def numbers(self) -> list[NDArray[Any]]:
        return [self.vectors, self.answers]

    @property
    def mac_count(self) -> int:
        return self.vectors.size

    def graph(self, feature_count: int, opset: int) -> Graph:
        return graphs.neighbours(self.vectors, self.answers, self.estimator.n_neighbors)


def decision_tree(lesson: Lesson, max_depth: int | None, leaf_examples: int) -> Fitted:
    """A CART tree by squared error, which is Gini's criterion on one-hot targets."""
    tree = DecisionTreeRegressor(max_depth=max_depth, min_samples_leaf=leaf_examples, random_state=lesson.seed)
    return Trees(tree.fit(lesson.inputs, lesson.columns))


def random_forest(lesson: Lesson, tree_count: int, max_depth: int | None, leaf_examples: int) -> Fitted:
    """Breiman's forest with the classifier's sqrt(features) candidates a split, whatever the targets are."""
    forest = RandomForestRegressor(
        tree_count,
        max_depth=max_depth,
        min_samples_leaf=leaf_examples,
        max_features="sqrt",
        random_state=lesson.seed,
        n_jobs=lesson.threads,
    )
    # fitted trees do not depend on the number of threads; the order in which threads add up their answers does
    return Trees(forest.fit(lesson.inputs, lesson.columns).set_params(n_jobs=1))


def gradient_boosting(lesson: Lesson, rounds: int, learning_rate: float, max_depth: int) -> Fitted:
    """Log-loss on classes, squared error on scores. Raises ModelError where a class has no example."""
    # sqrt(features) candidates a split, as in a forest: on digits, after 20 rounds each, 7 times faster and no worse
    # (0.942 against 0.945)
    fields = {"n_estimators": rounds, "learning_rate": learning_rate, "max_depth": max_depth, "max_features": "sqrt"}
    if not lesson.are_classes:
        one = GradientBoostingRegressor(**fields, random_state=lesson.seed)
        return Trees(MultiOutputRegressor(one).fit(lesson.inputs, lesson.scores))
    known = len(np.unique(lesson.targets))
    if known < lesson.class_count:
        raise ModelError(
            f"gradient_boosting needs an example of each of the {lesson.class_count} classes, and it is taught {known} "
            "of them; use random_forest."
        )
    return Trees(GradientBoostingClassifier(**fields, random_state=lesson.seed).fit(lesson.inputs, lesson.targets))


def linear(lesson: Lesson, penalty: float) -> Fitted:
    """Multinomial logistic regression on shares, least squares on other scores."""
    if not lesson.are_shares:
        ridge = Ridge(alpha=penalty * len(lesson.inputs)).fit(lesson.inputs, lesson.scores)
        weights, offset = np.atleast_2d(ridge.coef_), np.atleast_1d(ridge.intercept_)  # flat where there is one value
        return Matrix(weights.astype(np.float32), offset.astype(np.float32))
    return _logistic(torch.from_numpy(lesson.inputs).double(), torch.from_numpy(lesson.scores).double(), penalty)


def _logistic(inputs: torch.Tensor, targets: torch.Tensor, penalty: float) -> Matrix:
    """Logistic regression on soft targets, which scikit-learn's own does not take: the minimum of a convex function."""
    weights = torch.zeros(targets.shape[1], inputs.shape[1], dtype=torch.float64, requires_grad=True)
    offset = torch.zeros(targets.shape[1], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weights, offset], max_iter=STEPS, tolerance_grad=1e-6, tolerance_change=1e-12, line_search_fn="strong_wolfe"
    )

    def closure() -> float:
        optimizer.zero_grad()
        loss = F.cross_entropy(F.linear(inputs, weights, offset), targets) + penalty / 2 * weights.square().sum()
        torch.autograd.backward(loss)
        return float(loss.detach())

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return Matrix(weights.detach().float().numpy(), offset.detach().float().numpy())


def svm(lesson: Lesson, kernel: str, cost: float, gamma: float | None) -> Fitted:
    """One machine for each class against all others, all with the same kernel. Raises ModelError for values."""
    if not lesson.class_count:
        raise ModelError("svm tells classes apart, and this task's output is values; use random_forest or linear.")
    width = gamma if gamma is not None else float(1 / (lesson.inputs.shape[1] * lesson.inputs.var()))
    machines = tuple(
        _machine(lesson.inputs, lesson.classes == each, kernel, cost, width) for each in range(lesson.class_count)
    )
    offset = np.array([-1 if machine is None else machine.intercept_[0] for machine in machines], np.float32)
    if kernel == "linear":
        flat = np.zeros(lesson.inputs.shape[1])
        rows = [flat if machine is None else machine.coef_[0] for machine in machines]
        return Matrix(np.array(rows, np.float32), offset)
    used = np.unique(np.concatenate([machine.support_ for machine in machines if machine is not None]))
    duals = np.zeros((len(used), lesson.class_count), np.float32)
    for each, machine in enumerate(machines):
        if machine is not None:
            duals[np.searchsorted(used, machine.support_), each] = machine.dual_coef_[0]
    return Machines(machines, lesson.inputs[used], duals, offset, width)


def _machine(inputs: Floats, own: NDArray[np.bool_], kernel: str, cost: float, gamma: float) -> SVC | None:
    """The machine of one class; None without an example of it. Raises ModelError where every example is of it."""
    if own.all():
        raise ModelError("svm tells classes apart, and it is taught a single one; look at the teacher's answers.")
    return SVC(C=cost, kernel=kernel, gamma=gamma).fit(inputs, own) if own.any() else None


def nearest_neighbours(lesson: Lesson, count: int) -> Fitted:
    """Nearest neighbours among the lesson's examples. Raises ModelError where it has fewer examples than neighbours."""
    if count > len(lesson.inputs):
        raise ModelError(f"nearest_neighbours asks for {count} neighbours of {len(lesson.inputs)} examples; ask fewer.")
    found = KNeighborsRegressor(count, algorithm="brute").fit(lesson.inputs, lesson.scores)
    return Neighbours(found, lesson.inputs, lesson.scores)
