"""Students that are no networks, as declarations; how they are fitted is in `_estimators`."""

from __future__ import annotations

import importlib.metadata
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from kdbench.protocols import Model

if TYPE_CHECKING:
    from kdbench.models.fitted_estimators import Fitted, Lesson


class Estimator(Model):
    """A model that scikit-learn fits in one go to the flattened, preprocessed inputs; it has no layers and no epochs.

    It learns from labels, or from the `targets` of one technique: classes, probabilities or logits. Of its recipe it
    takes `threads` and nothing else. What it answers with, (B, classes), is a score each class; the highest decides.
    """

    form: ClassVar[Literal["torch", "estimator"]] = "estimator"
    packages: ClassVar[frozenset[str]] = frozenset({"scikit-learn", "skl2onnx"})

    copies: int = Field(4, ge=0)
    """How many more times it sees the training images, each time another view where the task augments, else with
    noise. The teacher says what it thinks of every copy; without one it has its image's label."""
    noise: float | None = Field(None, ge=0)
    """Standard deviation of the normal noise on the copies' preprocessed inputs; by default 0 where the task augments,
    else 0.3."""

    def missing(self) -> str | None:
        """Which of its packages is not installed, and what to do about it, as a sentence; None where all are."""
        for package in sorted(self.packages):
            try:
                importlib.metadata.version(package)
            except importlib.metadata.PackageNotFoundError:
                return f"{package} is not installed; type: pip install 'kdbench[estimators]'"
        return None

    def fit(self, lesson: Lesson) -> Fitted:
        """Itself, fitted. Raises ModelError where the lesson does not do."""
        raise TypeError(f"{type(self).__name__} has no fit()")


class DecisionTree(Estimator):
    """One decision tree; each leaf holds the mean of what was taught there.

    Splits lower the squared error of the taught (one-hot or soft) targets most. On labels that is Gini's criterion to
    the letter: with one-hot targets the squared error, summed over classes, is the Gini impurity. Soft targets are
    hardly ever equal, so that a tree without limits goes on until every example has its leaf: on digits its file is 20
    times larger than one that learnt classes.
    """

    paper: ClassVar[str] = "Breiman, Friedman, Olshen, Stone 1984, Classification and Regression Trees"

    max_depth: int | None = Field(None, gt=0)
    """Decisions from root to leaf, at most."""
    leaf_examples: int = Field(1, gt=0)
    """Examples of the lesson in a leaf, at least."""

    def fit(self, lesson: Lesson) -> Fitted:
        from kdbench.models import fitted_estimators

        return fitted_estimators.decision_tree(lesson, self.max_depth, self.leaf_examples)


class RandomForest(Estimator):
    """The mean of many decision trees, each grown on a bootstrap sample and on sqrt(features) candidates a split."""

    paper: ClassVar[str] = "Breiman 2001, Random Forests"

    tree_count: int = Field(100, gt=0)
    max_depth: int | None = Field(None, gt=0)
    """Decisions from root to leaf, at most."""
    leaf_examples: int = Field(1, gt=0)
    """Examples of a tree's sample in a leaf, at least."""

    def fit(self, lesson: Lesson) -> Fitted:
        from kdbench.models import fitted_estimators

        return fitted_estimators.random_forest(lesson, self.tree_count, self.max_depth, self.leaf_examples)


class GradientBoosting(Estimator):
    """A sum of small trees a class, each fitted to what the ones before leave over.

    Classes are fitted by multinomial log-loss, and the answer is their probabilities. Soft targets are fitted by
    squared error, one sum of trees for each class, and the answer comes near to them. Every split chooses among
    sqrt(features) candidates, as in a random forest.
    """

    paper: ClassVar[str] = "Friedman 2001, Greedy Function Approximation: A Gradient Boosting Machine"

    rounds: int = Field(50, gt=0)
    """Trees for each class."""
    learning_rate: float = Field(0.1, gt=0)
    """What each tree is multiplied by."""
    max_depth: int = Field(3, gt=0)
    """Decisions from root to leaf, at most."""

    def fit(self, lesson: Lesson) -> Fitted:
        from kdbench.models import fitted_estimators

        return fitted_estimators.gradient_boosting(lesson, self.rounds, self.learning_rate, self.max_depth)


class Linear(Estimator):
    """One matrix and an offset: scores = W x + b.

    Classes and probabilities: multinomial logistic regression, the minimum of mean CE(W x + b, target) +
    penalty / 2 * |W|^2. Logits: least squares, the minimum of mean |W x + b - t|^2 / 2 + penalty / 2 * |W|^2.
    """

    paper: ClassVar[str] = "Cox 1958, The Regression Analysis of Binary Sequences; multinomial: Theil 1969"
    packages: ClassVar[frozenset[str]] = frozenset({"scikit-learn"})

    penalty: float = Field(1e-3, gt=0)
    """Of the squared weights, the offset excluded; 1 / (C * examples) in scikit-learn's terms."""

    def fit(self, lesson: Lesson) -> Fitted:
        from kdbench.models import fitted_estimators

        return fitted_estimators.linear(lesson, self.penalty)


class SVM(Estimator):
    """Support vector machines, one a class against all others; the score is the signed margin.

    It can only learn classes: of probabilities and logits it takes the highest, so that soft distillation teaches it
    what hard distillation does. Fitting takes between the square and the cube of the number of examples.
    """

    paper: ClassVar[str] = "Cortes and Vapnik 1995, Support-Vector Networks"
    packages: ClassVar[frozenset[str]] = frozenset({"scikit-learn"})

    copies: int = Field(0, ge=0)
    """As everywhere; none by default, for the time that fitting takes."""
    kernel: Literal["rbf", "linear"] = "rbf"
    """`rbf`: exp(-gamma |x - v|^2) to every support vector v; `linear`: support vectors melt into one matrix."""
    cost: float = Field(10.0, gt=0)
    """C: what an example on the wrong side of its margin costs."""
    gamma: float | None = Field(None, gt=0)
    """Of the rbf kernel; by default 1 / (features * the inputs' variance)."""

    def fit(self, lesson: Lesson) -> Fitted:
        from kdbench.models import fitted_estimators

        return fitted_estimators.svm(lesson, self.kernel, self.cost, self.gamma)


class NearestNeighbours(Estimator):
    """The mean of what was taught for the nearest examples, by Euclidean distance. It keeps the whole lesson."""

    paper: ClassVar[str] = "Cover and Hart 1967, Nearest Neighbor Pattern Classification"
    packages: ClassVar[frozenset[str]] = frozenset({"scikit-learn"})

    copies: int = Field(0, ge=0)
    """As everywhere; none by default, as each makes the file larger by the training split."""
    neighbours: int = Field(5, gt=0)

    def fit(self, lesson: Lesson) -> Fitted:
        from kdbench.models import fitted_estimators

        return fitted_estimators.nearest_neighbours(lesson, self.neighbours)
