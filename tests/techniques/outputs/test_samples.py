"""Whose examples a technique on outputs learns from: some of the batch's, and further images without labels."""

import copy

import pytest
import torch
import torch.nn.functional as nnf
from pydantic import ValidationError
from torch import nn

from kdbench import functional as F
from kdbench.errors import TechniqueError
from kdbench.protocols import Batch, Input, TaskDescription
from kdbench.techniques.outputs.decoupled_distillation import DecoupledDistillation
from kdbench.techniques.outputs.dist import Dist
from kdbench.techniques.outputs.hard_distillation import HardDistillation
from kdbench.techniques.outputs.logit_matching import LogitMatching
from kdbench.techniques.outputs.mixed_distillation import MixedDistillation
from kdbench.techniques.outputs.soft_distillation import SoftDistillation
from kdbench.techniques.outputs.standardized_distillation import StandardizedDistillation

BY_EXAMPLE = [SoftDistillation, HardDistillation, LogitMatching, DecoupledDistillation, StandardizedDistillation]

TAUGHT = torch.tensor([[9.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 9.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 9.0]])
LABELS = torch.tensor([0, 1, 2, 2, 2])
RIGHT, CONFIDENT = [0, 1, 4], [0, 2, 4]
"""The examples where the teacher's decision is the label, and where its highest probability is 0.9 or more."""

TASK = TaskDescription.classification(
    input_names=("x",), input_shapes=((3,),), class_names=("a", "b", "c"), example_counts={"train": 5}
)


class Said:
    """A context whose teacher says what it is told to."""

    def __init__(self, taught=TAUGHT, more=None):
        self.taught = taught
        self.more = more
        self.asked = []
        self.task = TASK

    def teacher(self, batch, number=0):
        self.asked.append(batch)
        return (self.taught if batch.targets else batch.inputs[0] * 2,)

    def unlabelled(self, batch_size):
        self.size = batch_size
        while True:
            yield Batch((self.more,), (), *(torch.full((len(self.more),), -1) for _ in range(2)))


def batch_of(labels):
    return Batch((torch.zeros(len(labels), 3),), (labels,), torch.arange(len(labels)), torch.zeros_like(labels))


def term_of(technique, ctx, logits, labels=LABELS, student=None):
    """The bare term of one batch."""
    with technique.terms(student or nn.Identity(), ctx) as (extra, loss):
        assert extra is None
        (term,) = loss(batch_of(labels), (logits,)).values()
    return term


@pytest.fixture
def logits():
    return torch.randn(5, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()


@pytest.mark.parametrize("cls", [*BY_EXAMPLE, Dist])
@pytest.mark.parametrize(
    ("samples", "chosen"), [("teacher_right", RIGHT), ("confident", CONFIDENT), ("unsure", [1, 3])]
)
def test_the_term_is_that_of_the_chosen_examples_times_their_share(logits, cls, samples, chosen):
    technique = cls(samples=samples)

    term = term_of(technique, Said(), logits)

    alone = term_of(cls(), Said(TAUGHT[chosen]), logits[chosen], LABELS[chosen])
    assert term.item() == pytest.approx(len(chosen) / 5 * alone.item(), rel=1e-6)
    (gradient,) = torch.autograd.grad(term, logits)
    assert gradient.abs().sum(1).gt(0).nonzero()[:, 0].tolist() == chosen


@pytest.mark.parametrize("cls", BY_EXAMPLE)
def test_confident_and_unsure_answers_together_are_all(logits, cls):
    parts = [term_of(cls(samples=samples), Said(), logits).item() for samples in ("confident", "unsure")]

    assert sum(parts) == pytest.approx(term_of(cls(), Said(), logits).item(), rel=1e-6)


def test_an_example_counts_the_same_whatever_its_neighbours_are(logits):
    technique = SoftDistillation(samples="confident")
    crowded = torch.autograd.grad(term_of(technique, Said(), logits), logits)[0][0]
    unsure = TAUGHT.clone()
    unsure[[2, 4]] = 0.0

    alone = torch.autograd.grad(term_of(technique, Said(unsure), logits), logits)[0][0]

    assert torch.allclose(crowded, alone, rtol=1e-6)


def test_confidence_is_a_probability_at_temperature_one_and_reached_when_equal(logits):
    taught = torch.tensor([[0.75, 0.25, 0.0], [0.5, 0.5, 0.0], [0.25, 0.75, 0.0]]).log()
    labels = torch.tensor([0, 0, 0])

    (gradient,) = torch.autograd.grad(
        term_of(HardDistillation(samples="confident", confidence=0.75), Said(taught), logits[:3], labels), logits
    )

    assert gradient.abs().sum(1).gt(0).tolist() == [True, False, True, False, False]


@pytest.mark.parametrize("cls", [*BY_EXAMPLE, Dist])
def test_a_batch_without_a_chosen_example_has_a_term_of_zero_that_can_be_trained_on(logits, cls):
    term = term_of(cls(samples="confident"), Said(torch.zeros(5, 3)), logits)

    assert term.item() == 0
    assert torch.autograd.grad(term, logits)[0].tolist() == torch.zeros(5, 3).tolist()


def test_a_teacher_that_is_never_sure_trains_nothing(context, build):
    silent = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    nn.init.zeros_(silent[1].weight)
    nn.init.zeros_(silent[1].bias)
    ctx = context(teacher=silent)

    MixedDistillation(ce_weight=1.0, kd_weight=1.0, samples="confident").apply(build("plain"), ctx)

    assert [terms["soft"] for terms in ctx.history.terms_by_epoch] == [0.0, 0.0]


def test_the_control_shuffles_what_is_taught_and_not_which_examples_are_chosen(logits):
    technique = HardDistillation(samples="teacher_right", shuffled=True)

    term = term_of(technique, Said(), logits)

    taught_by_neighbour = TAUGHT.argmax(1).roll(1)[RIGHT]
    expected = 3 / 5 * nnf.cross_entropy(logits[RIGHT], taught_by_neighbour)
    assert term.item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("cls", [SoftDistillation, HardDistillation, LogitMatching, StandardizedDistillation, Dist])
def test_unlabelled_images_are_averaged_in_by_number_of_examples(logits, cls):
    more = torch.randn(3, 3, generator=torch.Generator().manual_seed(1))
    technique = cls(unlabelled="extra")
    student = nn.Linear(3, 3)

    term = term_of(technique, Said(more=more), logits, student=student)

    own = term_of(cls(), Said(), logits)
    further = term_of(cls(), Said(more * 2), student(more), torch.zeros(3, dtype=torch.int64))
    assert term.item() == pytest.approx((5 * own.item() + 3 * further.item()) / 8, rel=1e-5)


def test_as_many_unlabelled_images_are_taken_as_the_batch_has(logits):
    ctx = Said(more=torch.ones(5, 3))
    with SoftDistillation(unlabelled="extra").terms(nn.Identity(), ctx) as (_, loss):
        loss(batch_of(LABELS), (logits,))
        ctx.taught = TAUGHT[:2]
        loss(batch_of(LABELS[:2]), (logits[:2],))

    assert ctx.size == 5
    assert [len(batch) for batch in ctx.asked] == [5, 5, 2, 2]
    assert [len(batch.inputs[0]) for batch in ctx.asked] == [5, 5, 2, 2]


def test_noisy_copies_are_answered_for_by_the_teacher_and_averaged_in(logits):
    student, ctx = nn.Linear(3, 3), Said()
    seen = []
    student.register_forward_hook(lambda module, given, answer: seen.append((given[0], answer.detach())))
    term = term_of(SoftDistillation(noise=0.5), ctx, logits, student=student)

    own = term_of(SoftDistillation(), Said(), logits)
    ((copies, answers),) = seen
    further = term_of(SoftDistillation(), Said(), answers)
    assert term.item() == pytest.approx((own.item() + further.item()) / 2, rel=1e-5)
    assert [int(batch.index[0]) for batch in ctx.asked] == [0, -1]  # no stored output is taken for a copy
    assert torch.equal(ctx.asked[1].inputs[0], copies)
    assert 0 < copies.abs().max() < 3 * 0.5 * 2  # the batch is of zeros


def test_ids_of_tokens_take_no_noise():
    ctx = Said()
    ids = Input(name="ids", axes=(3,), dtype="int64", values=9)
    ctx.task = TASK.model_copy(update={"inputs": (ids,)})
    technique = SoftDistillation(noise=0.5)
    with (
        pytest.raises(TechniqueError, match="inputs are ids, which noise cannot be put on"),
        technique.terms(None, ctx),
    ):
        pass


def test_further_examples_are_of_one_kind():
    with pytest.raises(ValidationError, match="unlabelled images or noisy copies; leave one of them"):
        SoftDistillation(noise=0.5, unlabelled="extra")


def test_confidence_chooses_among_unlabelled_images_too(logits):
    more = torch.tensor([[4.5, 0.0, 0.0], [0.1, 0.0, 0.0]])  # the teacher doubles them
    student = nn.Linear(3, 3)

    term = term_of(HardDistillation(samples="confident", unlabelled="extra"), Said(more=more), logits, student=student)

    own = 3 / 5 * nnf.cross_entropy(logits[CONFIDENT], TAUGHT.argmax(1)[CONFIDENT])
    further = 1 / 2 * nnf.cross_entropy(student(more[:1]), torch.tensor([0]))
    assert term.item() == pytest.approx((5 * own.item() + 2 * further.item()) / 7, rel=1e-6)


def test_unlabelled_images_reach_the_students_batchnorm_and_never_the_cross_entropy(context, build):
    teacher = build("mlp", seed=7)
    far = 5 + torch.rand(64, 1, 8, 8, generator=torch.Generator().manual_seed(3))
    fields = {"ce_weight": 1.0, "kd_weight": 1e-12}
    plain, extended = context(teacher=teacher), context(teacher=teacher)
    extended.extra_images = far

    without = MixedDistillation(**fields).apply(build("plain"), plain)
    with_extra = MixedDistillation(**fields, unlabelled="extra").apply(build("plain"), extended)

    assert extended.teacher_calls == 2 * plain.teacher_calls
    for ours, theirs in zip(with_extra.parameters(), without.parameters(), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-5)
    assert not torch.allclose(with_extra[1].running_mean, without[1].running_mean, atol=0.05)


def test_a_student_learns_what_the_teacher_says_of_unlabelled_images(context, build):
    teacher = context(epochs=30).fit(build("mlp", seed=7)).eval()
    more = torch.rand(256, 1, 8, 8, generator=torch.Generator().manual_seed(9))
    unseen = torch.rand(512, 1, 8, 8, generator=torch.Generator().manual_seed(10))
    ctx, extended = context(teacher=teacher, epochs=20), context(teacher=teacher, epochs=20)
    blocks = [more[start : start + 32] for start in range(0, 256, 32)]
    before = copy.deepcopy(teacher.state_dict())

    def unlabelled(batch_size):
        while True:
            for block in blocks:
                yield Batch((block,), (), *(torch.full((len(block),), -1) for _ in range(2)))

    extended.unlabelled = unlabelled
    plain = SoftDistillation().apply(build("plain"), ctx)
    taught = SoftDistillation(unlabelled="extra").apply(build("plain"), extended)

    with torch.no_grad():
        far, near = (F.soft_distillation(student(unseen), teacher(unseen), 4.0) for student in (plain, taught))
    assert near < 0.8 * far
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())


def test_the_folder_is_named_to_the_plan():
    assert SoftDistillation(unlabelled="extra").unlabelled_folder() == "extra"
    assert SoftDistillation().unlabelled_folder() is None


@pytest.mark.parametrize(
    ("cls", "fields", "message"),
    [
        (DecoupledDistillation, {"unlabelled": "extra"}, "needs the label of every image"),
        (SoftDistillation, {"unlabelled": "extra", "samples": "teacher_right"}, "needs labels"),
        (SoftDistillation, {"unlabelled": ""}, "unlabelled"),
        (HardDistillation, {"samples": "certain"}, "samples"),
        (HardDistillation, {"confidence": 1.5}, "confidence"),
    ],
)
def test_choices_that_make_no_sense_are_refused(cls, fields, message):
    with pytest.raises(ValidationError, match=message):
        cls.from_fields(fields)
