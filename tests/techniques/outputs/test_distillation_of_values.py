"""Students of values: what the methods on values hand to the loop, and that a teacher's values teach."""

import numpy as np
import pytest
import torch
from sklearn.datasets import make_friedman1
from torch import nn

from kdbench import functional as F
from kdbench.models.mlp import MLP
from kdbench.protocols import Batch, Input, Output, TaskDescription
from kdbench.protocols.recipe import Recipe
from kdbench.techniques.outputs.attentive_imitation import AttentiveImitation
from kdbench.techniques.outputs.soft_distillation import SoftDistillation
from kdbench.techniques.outputs.teacher_bounded import TeacherBounded
from kdbench.training import Examples, Training

INPUTS, LABELS = make_friedman1(400, noise=1.0, random_state=0)
TRAIN, TEST = slice(0, 240), slice(240, 400)
SPREAD = float(LABELS[TRAIN].std())
TASK = TaskDescription(
    inputs=(Input(name="row", axes=(10,)),),
    outputs=(Output(name="y", kind="values", axes=(1,), mean=(float(LABELS[TRAIN].mean()),), scale=(SPREAD,)),),
    example_counts={"train": 240},
)
ROWS, TRUTH = (torch.tensor(np.asarray(array), dtype=torch.float32) for array in (INPUTS, LABELS[:, None]))


class Regression:
    """A context over rows of friedman1."""

    def __init__(self, teacher=None, epochs=60):
        self.task, self.epochs, self.module = TASK, epochs, teacher
        self.terms = []

    def batch(self, index):
        return Batch((ROWS[index],), (TRUTH[index],), index, torch.zeros_like(index))

    @property
    def train(self):
        return iter([self.batch(torch.arange(240))])

    @torch.no_grad()
    def teacher(self, batch, number=0):
        return (self.module.eval()(*batch.inputs),)

    def fit(self, model, loss=None, extra=None, recipe="train", part=(0.0, 1.0)):
        recipe = Recipe(epochs=self.epochs, batch_size=40, learning_rate=0.02, weight_decay=0)
        training = Training(model, recipe, TASK, Examples(self._epoch, None, 240), loss, extra)
        self.terms = training.run().terms_by_epoch
        return model

    def _epoch(self, epoch):
        order = torch.randperm(240, generator=torch.Generator().manual_seed(epoch))
        return map(self.batch, order.split(40))


def student(width=8, seed=0):
    torch.manual_seed(seed)
    return MLP(depth=1, width=width).build(TASK)


@torch.no_grad()
def error(network):
    """Root mean squared error on rows that nobody learnt from."""
    return float((network.eval()(ROWS[TEST]) - TRUTH[TEST]).square().mean().sqrt())


@pytest.fixture(scope="module")
def teacher():
    return Regression(epochs=80).fit(student(width=64, seed=7)).eval()


@pytest.mark.parametrize("technique", [SoftDistillation(), TeacherBounded(), AttentiveImitation()])
def test_a_student_of_values_learns_in_the_labels_own_unit(teacher, technique) -> None:
    ctx = Regression(teacher)
    taught = technique.apply(student(), ctx)
    assert sum(ctx.terms[-1].values()) < 0.3 * sum(ctx.terms[0].values())
    assert error(teacher) < 0.5 * SPREAD
    assert error(taught) < 0.6 * SPREAD  # answering with the mean has an error of 1 spread


def test_a_student_taught_about_other_rows_learns_nothing(teacher) -> None:
    taught = SoftDistillation(shuffled=True).apply(student(), Regression(teacher, epochs=20))
    assert error(taught) > 0.9 * SPREAD


@pytest.mark.parametrize("technique", [TeacherBounded(), AttentiveImitation()])
def test_a_teachers_weight_of_0_leaves_the_labels_loss_to_the_bit(technique) -> None:
    alone = technique.model_copy(update={"kd_weight": 0.0, "ce_weight": 1.0})
    plain, same = Regression(epochs=2).fit(student()), alone.apply(student(), Regression(epochs=2))
    assert all(map(torch.equal, plain.parameters(), same.parameters()))


def test_the_range_of_the_teachers_errors_is_that_over_the_training_split(teacher) -> None:
    ctx = Regression(teacher)
    batch = next(ctx.train)
    errors = ((ctx.teacher(batch)[0] - batch.targets[0]) / SPREAD).square()
    outputs = (torch.zeros(240, 1),)
    with AttentiveImitation().terms(nn.Identity(), ctx) as (_, loss):
        (term,) = loss(batch, outputs).values()
    its, truth = (values / SPREAD for values in (ctx.teacher(batch)[0], batch.targets[0]))
    torch.testing.assert_close(term, F.attentive_imitation(outputs[0], its, truth, float(errors.max() - errors.min())))


def test_methods_on_values_are_refused_elsewhere_with_what_to_use_instead() -> None:
    for technique in (TeacherBounded(), AttentiveImitation()):
        assert technique.kind_problem("values") is None
        assert "use soft_distillation" in technique.kind_problem("classes")
