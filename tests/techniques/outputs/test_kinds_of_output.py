"""What techniques on outputs teach about each kind of output: values, gradients, padding, several outputs."""

import pytest
import torch
import torch.nn.functional as nnf
from torch import nn

from kdbench import functional as F
from kdbench import registry
from kdbench.errors import TechniqueError
from kdbench.protocols import Batch, Input, Output, SymbolicAxis, TaskDescription
from kdbench.protocols.data import KINDS
from kdbench.techniques.controls.label_smoothing import LabelSmoothing
from kdbench.techniques.outputs.decoupled_distillation import DecoupledDistillation
from kdbench.techniques.outputs.dist import Dist
from kdbench.techniques.outputs.hard_distillation import HardDistillation
from kdbench.techniques.outputs.logit_matching import LogitMatching
from kdbench.techniques.outputs.soft_distillation import SoftDistillation
from kdbench.techniques.outputs.standardized_distillation import StandardizedDistillation
from kdbench.techniques.teachers.multi_teacher import MultiTeacher

ABC = ("a", "b", "c")
MULTILABEL = Output(name="tags", kind="multilabel", axes=(3,), class_names=ABC)
VALUES = Output(name="size", kind="values", axes=(2,), value_names=("x", "y"), mean=(1.0, 0.0), scale=(2.0, 10.0))
DENSE = Output(name="map", kind="dense_classes", axes=(3, 2, 4), class_names=ABC, ignore=255)
TOKENS = Output(name="words", kind="token_classes", axes=("length", 3), class_names=ABC, ignore=-100)
SEQUENCE = Output(name="text", kind="sequence", axes=("frames", 3), class_names=("-", "a", "b"), frames="length")
EMBEDDING = Output(name="place", kind="embedding", axes=(3,))
CLASSES = Output(name="class", kind="classes", axes=(3,), class_names=ABC)


def task_of(*outputs):
    return TaskDescription(
        inputs=(Input(name="x", axes=("length", 3)),),
        axes=(SymbolicAxis(name="length", lengths={"median": 3}),),
        outputs=outputs,
        example_counts={"train": 4},
    )


class Taught:
    """A context whose teachers give these outputs."""

    def __init__(self, task, *taught):
        self.task, self.taught, self.notes = task, taught, []
        self.teacher_count = len(taught)
        self.note = self.notes.append

    def teacher(self, batch, number=0):
        return self.taught[number]

    def fit(self, model, loss=None, extra=None, recipe="train", part=(0.0, 1.0)):
        self.loss = loss
        return model


def batch_of(*targets, count=2, **lengths):
    index = torch.arange(count)
    inputs = (torch.zeros(count, 4, 3),)
    return Batch(inputs, targets, index, torch.zeros_like(index), {k: torch.tensor(v) for k, v in lengths.items()})


def terms_of(technique, ctx, batch, *outputs):
    with technique.terms(nn.Identity(), ctx) as (_, loss):
        return loss(batch, outputs)


def only(technique, output, teacher, batch, student):
    (term,) = terms_of(technique, Taught(task_of(output), (teacher,)), batch, student).values()
    return term


def made(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gradient(term, tensor):
    (found,) = torch.autograd.grad(term, tensor)
    return found


def test_soft_distillation_of_labels_is_the_binary_divergence_of_each_averaged_over_all() -> None:
    student, teacher, temperature = made(2, 3).requires_grad_(), made(2, 3, seed=1), 3.0
    term = only(SoftDistillation(temperature=temperature), MULTILABEL, teacher, batch_of(torch.zeros(2, 3)), student)
    p = torch.sigmoid(teacher / temperature)
    entropy = -(p * p.log() + (1 - p) * (1 - p).log())
    bce = nnf.binary_cross_entropy_with_logits(student / temperature, p, reduction="none")
    torch.testing.assert_close(term, (temperature**2 * (bce - entropy)).mean())
    q = torch.sigmoid(student / temperature)
    torch.testing.assert_close(gradient(term, student), temperature * (q - p) / 6)  # dKL/dz = (q - p) / T, times T^2


def test_soft_distillation_of_places_is_the_mean_over_places_not_batchmean_of_four_axes() -> None:
    student, teacher = made(2, 3, 2, 4), made(2, 3, 2, 4, seed=1)
    target = torch.full((2, 2, 4), 255)
    term = only(SoftDistillation(temperature=1), DENSE, teacher, batch_of(target), student)
    each = [
        nnf.kl_div(student[b, :, h, w].log_softmax(0), teacher[b, :, h, w].softmax(0), reduction="sum")
        for b in range(2)
        for h in range(2)
        for w in range(4)
    ]
    torch.testing.assert_close(term, torch.stack(each).mean())
    whole = nnf.kl_div(student.log_softmax(1), teacher.softmax(1), reduction="batchmean")
    torch.testing.assert_close(whole, 8 * term)


@pytest.mark.parametrize("output", [TOKENS, SEQUENCE], ids=lambda output: output.kind)
def test_padding_has_no_part_in_a_term_and_no_gradient(output) -> None:
    student, teacher = made(2, 4, 3).requires_grad_(), made(2, 4, 3, seed=1)
    batch = batch_of(torch.zeros(2, 4, dtype=torch.int64), length=[4, 2], text=[1, 1])
    term = only(SoftDistillation(temperature=1), output, teacher, batch, student)
    own = torch.cat([student[0], student[1, :2]])
    torch.testing.assert_close(term, F.soft_distillation(own, torch.cat([teacher[0], teacher[1, :2]]), 1.0))
    found = gradient(term, student)
    assert (found[1, 2:] == 0).all()
    assert (found[1, :2] != 0).all()


def test_of_a_teacher_whose_stored_frames_end_with_the_longest_example_the_frames_meet() -> None:
    student, teacher = made(2, 4, 3), made(2, 3, 3, seed=1)
    batch = batch_of(torch.zeros(2, 1, dtype=torch.int64), length=[3, 1], text=[1, 1])
    term = only(SoftDistillation(), SEQUENCE, teacher, batch, student)
    torch.testing.assert_close(term, only(SoftDistillation(), SEQUENCE, teacher, batch, student[:, :3]))
    with pytest.raises(TechniqueError, match="shorten their input alike"):
        only(SoftDistillation(), SEQUENCE, teacher[:, :2], batch, student)


def test_values_are_matched_in_units_of_their_spread() -> None:
    student, teacher = torch.tensor([[1.0, 0.0], [3.0, 30.0]], requires_grad=True), torch.tensor([[3.0, 10.0]] * 2)
    term = only(SoftDistillation(), VALUES, teacher, batch_of(torch.zeros(2, 2)), student)
    assert term.item() == pytest.approx((1 + 1 + 0 + 4) / 4)
    expected = torch.tensor([[-2 / 2 / 2, -10 / 10 / 10], [0, 20 / 10 / 10]]) * 2 / 4
    torch.testing.assert_close(gradient(term, student), expected)


def test_a_hard_label_is_1_where_the_teacher_puts_its_logit_above_0() -> None:
    student, teacher = made(2, 3), made(2, 3, seed=1)
    term = only(HardDistillation(), MULTILABEL, teacher, batch_of(torch.zeros(2, 3)), student)
    torch.testing.assert_close(term, nnf.binary_cross_entropy_with_logits(student, (teacher > 0).double()))


def test_a_hard_sequence_is_what_the_teacher_decodes_to() -> None:
    teacher = torch.tensor([[1, 1, 0, 2], [2, 2, 2, 1]])  # frames' symbols: "ab", and "b" since one frame is padding
    batch = batch_of(torch.zeros(2, 1, dtype=torch.int64), length=[4, 3], text=[1, 1])
    student = made(2, 4, 3).requires_grad_()
    term = only(HardDistillation(), SEQUENCE, nnf.one_hot(teacher, 3).double(), batch, student)
    logs, lengths = student.log_softmax(2).transpose(0, 1), torch.tensor([4, 3])
    expected = nnf.ctc_loss(logs, torch.tensor([[1, 2], [2, 0]]), lengths, torch.tensor([2, 1]))
    torch.testing.assert_close(term, expected)
    assert (gradient(term, student)[1, 3] == 0).all()


def test_logits_of_labels_are_matched_as_they_are_and_frames_by_their_probabilities() -> None:
    student, teacher = made(2, 3), made(2, 3, seed=1)
    term = only(LogitMatching(), MULTILABEL, teacher, batch_of(torch.zeros(2, 3)), student)
    torch.testing.assert_close(term, ((student - teacher) ** 2).mean())
    frames, taught = made(2, 4, 3), made(2, 4, 3, seed=1)
    batch = batch_of(torch.zeros(2, 1, dtype=torch.int64), text=[1, 1])
    term = only(LogitMatching(), SEQUENCE, taught, batch, frames)
    torch.testing.assert_close(term, ((frames.softmax(2) - taught.softmax(2)) ** 2).mean())


def test_what_is_about_labels_leaves_out_places_that_have_none() -> None:
    student, teacher = made(1, 3, 2, 4).requires_grad_(), made(1, 3, 2, 4, seed=1)
    target = torch.full((1, 2, 4), 255)
    target[0, 0, :2] = torch.tensor([1, 2])
    for technique in (DecoupledDistillation(), SoftDistillation(samples="teacher_right")):
        taught = teacher.clone()
        taught[0, 1, 0, 0] = taught[0, 2, 0, 1] = 9.0
        found = gradient(only(technique, DENSE, taught, batch_of(target, count=1), student), student)
        assert (found[..., 0, :2] != 0).all()
        assert (found[..., 1, :] == 0).all()
        assert (found[..., 0, 2:] == 0).all()


def test_a_batch_without_any_place_that_counts_teaches_nothing() -> None:
    student = made(1, 3, 2, 4).requires_grad_()
    target = torch.full((1, 2, 4), 255)
    term = only(DecoupledDistillation(), DENSE, made(1, 3, 2, 4, seed=1), batch_of(target, count=1), student)
    assert float(term.detach()) == 0
    assert (gradient(term, student) == 0).all()


def test_not_blank_teaches_the_frames_that_the_teacher_gives_a_symbol() -> None:
    student, teacher = made(1, 4, 3).requires_grad_(), nnf.one_hot(torch.tensor([[0, 1, 0, 2]]), 3).double() * 5
    batch = batch_of(torch.zeros(1, 1, dtype=torch.int64), count=1, text=[1])
    term = only(SoftDistillation(samples="not_blank"), SEQUENCE, teacher, batch, student)
    torch.testing.assert_close(term, F.soft_distillation(student[0, [1, 3]], teacher[0, [1, 3]], 4.0) / 2)


def test_of_a_sequence_the_teacher_is_right_as_a_whole() -> None:
    teacher = nnf.one_hot(torch.tensor([[1, 1, 0, 2], [1, 0, 0, 0]]), 3).double() * 5
    batch = batch_of(torch.tensor([[1, 2], [2, 0]]), length=[4, 3], text=[2, 1])
    student = made(2, 4, 3).requires_grad_()
    term = only(SoftDistillation(samples="teacher_right"), SEQUENCE, teacher, batch, student)
    torch.testing.assert_close(term, F.soft_distillation(student[0], teacher[0], 4.0) * 4 / 7)


def test_of_two_outputs_the_terms_are_those_of_each_times_its_weight() -> None:
    heavy = VALUES.model_copy(update={"loss_weight": 3.0})
    task = task_of(CLASSES, heavy)
    logits, values, taught = made(2, 3), made(2, 2), (made(2, 3, seed=1), made(2, 2, seed=2))
    batch = batch_of(torch.tensor([0, 1]), torch.zeros(2, 2))
    ctx = Taught(task, taught)
    parts = terms_of(SoftDistillation(), ctx, batch, logits, values)
    assert list(parts) == ["class soft", "size soft"]
    torch.testing.assert_close(parts["class soft"], F.soft_distillation(logits, taught[0], 4.0))
    torch.testing.assert_close(parts["size soft"], 3 * F.value_matching(heavy, values, taught[1]))
    SoftDistillation(ce_weight=0.5).apply(nn.Identity(), ctx)
    assert list(ctx.loss(batch, (logits, values.float()))) == ["class ce", "size mse", "class soft", "size soft"]


def test_several_teachers_of_labels_are_averaged_label_by_label() -> None:
    first, second, student = made(2, 3, seed=1), made(2, 3, seed=2), made(2, 3)
    ctx = Taught(task_of(MULTILABEL), (first,), (second,))
    (term,) = terms_of(MultiTeacher(temperature=2), ctx, batch_of(torch.zeros(2, 3)), student).values()
    p = (torch.sigmoid(first / 2) + torch.sigmoid(second / 2)) / 2
    torch.testing.assert_close(
        term, only(SoftDistillation(temperature=2), MULTILABEL, 2 * torch.logit(p), batch_of(p), student)
    )


def test_smoothing_a_label_of_two_classes_gives_half_of_the_mass_back() -> None:
    ctx, student, target = Taught(task_of(MULTILABEL)), made(2, 3), torch.tensor([[1.0, 0, 1], [0, 0, 1]])
    LabelSmoothing(smoothing=0.2).apply(nn.Identity(), ctx)
    (term,) = ctx.loss(batch_of(target), (student,)).values()
    torch.testing.assert_close(term, nnf.binary_cross_entropy_with_logits(student, (0.8 * target + 0.1).double()))


def test_two_classes_break_three_methods_and_all_three_say_so() -> None:
    task = task_of(CLASSES.model_copy(update={"class_names": ("no", "yes"), "axes": (2,)}))
    batch, student, teacher = batch_of(torch.tensor([0, 1])), made(2, 2).requires_grad_(), made(2, 2, seed=1)
    sentence = StandardizedDistillation().problem(None, Taught(task))
    assert "0.71 and -0.71" in sentence
    ctx = Taught(task, (teacher,))
    (decoupled,) = terms_of(DecoupledDistillation(nontarget_weight=1), ctx, batch, student).values()
    torch.testing.assert_close(decoupled, F.soft_distillation(student, teacher, 4.0))
    terms_of(Dist(), ctx, batch, student)
    assert ctx.notes[0].startswith("with two classes there is one wrong class")
    assert "relation between examples is left" in ctx.notes[1]


@pytest.mark.parametrize("name", list(registry.TABLE["technique"]))
def test_every_kind_that_a_technique_refuses_has_its_reason(name) -> None:
    cls = registry.resolve("technique", name)
    assert {*cls.by_kind, *cls.kinds} >= set(KINDS)
    for text in cls.by_kind.values():
        assert not text.endswith(".")


def test_steps_that_choose_single_decisions_are_refused_where_none_is_taught() -> None:
    assert "none is taught" in SoftDistillation(samples="confident").kind_problem("values")
    assert "frames of a sequence" in SoftDistillation(samples="not_blank").kind_problem("classes")
    assert "own decision" in HardDistillation().kind_problem("values")
    assert HardDistillation(samples="confident").kind_problem("dense_classes") is None
