"""Declarations of students that are not networks; `fitted_estimators` fits them."""

from __future__ import annotations

import importlib.metadata
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from kdbench.protocols import Model

if TYPE_CHECKING:
    from kdbench.models.fitted_estimators import Fitted, Lesson


class Estimator(Model):
    """A model that is fitted once, to the flattened and preprocessed inputs. It has no layers and no epochs.

    It learns from labels or from one technique's `targets`: classes, probabilities, logits or values. Only `threads` of
    its recipe applies. It answers with one score for each class, (B, classes), the highest of which decides, or with
    values (B, D).
    """

    form: ClassVar[Literal["torch", "estimator"]] = "estimator"
    packages: ClassVar[frozenset[str]] = frozenset({"scikit-learn", "skl2onnx"})

    copies: int = Field(4, ge=0)
    """How many extra copies of the training images it sees. A copy is another view of the image where the task
    augments, else the image with noise. A teacher answers for every copy; without one a copy has its image's label."""
    noise: float | None = Field(None, ge=0)
    """Standard deviation of the normal noise on the copies' preprocessed inputs. Default: 0 where the task augments,
    else 0.3."""

    def missing(self) -> str | None:
        """A sentence that names a package which is not installed, and how to install it; None where all are."""
        for package in sorted(self.packages):
            try:
                importlib.metadata.version(package)
            except importlib.metadata.PackageNotFoundError:
                return f"{package} is not installed; type: pip install 'kdbench[estimators]'"
        return None

    def fit(self, lesson: Lesson) -> Fitted:
        """The fitted estimator. Raises ModelError where the lesson does not suit it."""
        raise TypeError(f"{type(self).__name__} has no fit()")


class DecisionTree(Estimator):
    """One decision tree; each leaf holds the mean of what was taught there.

    A split is the one that lowers the squared error of the targets (one-hot or soft) most. On labels this is Gini's
    criterion: the squared error of one-hot targets, summed over classes, is the Gini impurity. Soft targets are hardly
    ever equal, so a tree without limits grows until every example has a leaf of its own: on digits its file is 20 times
    larger than that of a tree which learnt classes.
    """

    paper: ClassVar[str] = "Breiman, Friedman, Olshen, Stone 1984, Classification and Regression Trees"

    max_depth: int | None = Field(None, gt=0)
    """Most decisions from root to leaf; no limit by default."""
    leaf_examples: int = Field(1, gt=0)
    """Fewest examples in a leaf."""

    def fit(self, lesson: Lesson) -> Fitted:
        from kdbench.models import fitted_estimators

        return fitted_estimators.decision_tree(lesson, self.max_depth, self.leaf_examples)


class RandomForest(Estimator):
    """The mean of many decision trees, each grown on a bootstrap sample and on sqrt(features) candidates a split."""

    paper: ClassVar[str] = "Breiman 2001, Random Forests"

    tree_count: int = Field(100, gt=0)
    max_depth: int | None = Field(None, gt=0)
    """Most decisions from root to leaf; no limit by default."""
    leaf_examples: int = Field(1, gt=0)
    """Fewest examples in a leaf."""

    def fit(self, lesson: Lesson) -> Fitted:
        from kdbench.models import fitted_estimators

        return fitted_estimators.random_forest(lesson, self.tree_count, self.max_depth, self.leaf_examples)


class GradientBoosting(Estimator):
    """A sum of small trees for each class; each tree is fitted to the error that those before it leave.

    Classes are fitted by multinomial log-loss, and the answer is probabilities. Soft targets are fitted by squared
    error, and the answer approximates them. Every split chooses among sqrt(features) candidates, as in a random forest.
    """

    paper: ClassVar[str] = "Friedman 2001, Greedy Function Approximation: A Gradient Boosting Machine"

    rounds: int = Field(50, gt=0)
    """Trees for each class."""
    learning_rate: float = Field(0.1, gt=0)
    """Factor on each tree's answer."""
    max_depth: int = Field(3, gt=0)
    """Most decisions from root to leaf."""

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
    """Factor on the squared weights (the offset is not penalised); 1 / (C * examples) in scikit-learn's terms."""

    def fit(self, lesson: Lesson) -> Fitted:
        from kdbench.models import fitted_estimators

        return fitted_estimators.linear(lesson, self.penalty)


class SVM(Estimator):
    """Support vector machines, one for each class against all others; the score is the signed margin.

    It can only learn classes. Given probabilities or logits it learns the highest one, so soft distillation teaches it
    the same as hard distillation. Fitting time grows with the square to the cube of the number of examples.
    """

    paper: ClassVar[str] = "Cortes and Vapnik 1995, Support-Vector Networks"
    packages: ClassVar[frozenset[str]] = frozenset({"scikit-learn"})

    copies: int = Field(0, ge=0)
    """Extra copies of the training images, as for every estimator; none by default, because fitting takes long."""
    kernel: Literal["rbf", "linear"] = "rbf"
    """`rbf`: exp(-gamma |x - v|^2) for every support vector v; `linear`: the support vectors add up to one matrix."""
    cost: float = Field(10.0, gt=0)
    """C: what an example on the wrong side of its margin costs."""
    gamma: float | None = Field(None, gt=0)
    """gamma of the rbf kernel; 1 / (features * the inputs' variance) by default."""

    def fit(self, lesson: Lesson) -> Fitted:
        from kdbench.models import fitted_estimators

        return fitted_estimators.svm(lesson, self.kernel, self.cost, self.gamma)


class NearestNeighbours(Estimator):
    """The mean of what was taught for the nearest examples, by Euclidean distance. It keeps the whole lesson."""

    paper: ClassVar[str] = "Cover and Hart 1967, Nearest Neighbor Pattern Classification"
    packages: ClassVar[frozenset[str]] = frozenset({"scikit-learn"})

    copies: int = Field(0, ge=0)
    """Extra copies of the training images, as for every estimator; none by default, as each adds the whole training
    split to the file."""
    neighbours: int = Field(5, gt=0)

    def fit(self, lesson: Lesson) -> Fitted:
        from kdbench.models import fitted_estimators

        return fitted_estimators.nearest_neighbours(lesson, self.neighbours)
