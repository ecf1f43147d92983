"""Several teachers: what their mean is, what the student learns of it, and what is refused."""

import copy
import math

import pytest
import torch
from pydantic import ValidationError

from kdbench.errors import TechniqueError
from kdbench.techniques.outputs.soft_distillation import SoftDistillation
from kdbench.techniques.teachers.multi_teacher import MultiTeacher, combined

EQUAL = [0.5, 0.5]


def logits_of(*rows):
    return torch.tensor(rows, dtype=torch.float64).log()


def softened(logits, temperature):
    return torch.softmax(logits / temperature, 1)


def loss_of(technique, ctx, student):
    """The technique's loss as it is handed to the loop, and the first batch."""
    captured = []
    ctx.fit = lambda model, loss=None, extra=None, recipe="train", part=(0, 1): captured.append(loss) or model
    technique.apply(student, ctx)
    return captured[0], next(iter(ctx.train))


def test_the_mean_of_probabilities_is_the_arithmetic_one_and_the_mean_of_logits_the_geometric_one():
    taught = [logits_of([3 / 4, 1 / 4]), logits_of([1 / 4, 3 / 4]), logits_of([1 / 2, 1 / 2])]
    thirds = [1 / 3] * 3
    for of in ("probabilities", "logits"):
        assert torch.allclose(softened(combined(taught, thirds, of, 1.0), 1.0), logits_of([0.5, 0.5]).exp())

    sure, unsure = logits_of([0.9, 0.1]), logits_of([0.5, 0.5])
    arithmetic = softened(combined([sure, unsure], EQUAL, "probabilities", 1.0), 1.0)
    geometric = softened(combined([sure, unsure], EQUAL, "logits", 1.0), 1.0)
    assert arithmetic[0, 0].item() == pytest.approx(0.7, abs=1e-12)
    # sqrt(0.9 * 0.5) : sqrt(0.1 * 0.5) = 3 : 1
    assert geometric[0, 0].item() == pytest.approx(0.75, abs=1e-12)


def test_teachers_count_by_their_weights():
    taught = [logits_of([0.8, 0.2]), logits_of([0.2, 0.8])]
    arithmetic = softened(combined(taught, [0.75, 0.25], "probabilities", 1.0), 1.0)
    geometric = softened(combined(taught, [0.75, 0.25], "logits", 1.0), 1.0)
    assert arithmetic[0, 0].item() == pytest.approx(0.75 * 0.8 + 0.25 * 0.2, abs=1e-12)
    # odds 4 ^ 0.75 / 4 ^ 0.25 = 2
    assert geometric[0, 0].item() == pytest.approx(2 / 3, abs=1e-12)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_probabilities_are_softened_first_and_then_averaged(temperature):
    generator = torch.Generator().manual_seed(0)
    taught = [4 * torch.randn(5, 7, generator=generator, dtype=torch.float64) for _ in range(3)]
    shares = [0.5, 0.3, 0.2]
    expected = torch.zeros(5, 7, dtype=torch.float64)
    for logits, share in zip(taught, shares, strict=True):
        for row in range(5):
            exponentials = [math.exp(value / temperature) for value in logits[row].tolist()]
            expected[row] += share * torch.tensor(exponentials, dtype=torch.float64) / sum(exponentials)

    found = softened(combined(taught, shares, "probabilities", temperature), temperature)

    assert torch.allclose(found, expected, atol=1e-12)


def test_certain_teachers_leave_finite_targets():
    taught = [torch.tensor([[1000.0, 0.0]]), torch.tensor([[0.0, 1000.0]])]
    assert torch.allclose(softened(combined(taught, EQUAL, "probabilities", 1.0), 1.0), torch.tensor([[0.5, 0.5]]))


@pytest.mark.parametrize("of", ["probabilities", "logits"])
def test_the_gradient_pulls_to_the_mean_target(context, build, of):
    teachers = [build("mlp", seed=seed).double() for seed in (7, 8)]
    ctx = context(teacher=teachers[0], others=(teachers[1],))
    ctx.images = ctx.images.double()
    loss, batch = loss_of(MultiTeacher(of=of, weights=(3.0, 1.0), temperature=2.0), ctx, build("mlp"))
    student = torch.randn(96, 10, dtype=torch.float64, requires_grad=True)

    (term,) = loss(batch, (student,)).values()
    (gradient,) = torch.autograd.grad(term, student)

    answers = [teacher(*batch.inputs).detach() for teacher in teachers]
    if of == "probabilities":
        target = 0.75 * softened(answers[0], 2) + 0.25 * softened(answers[1], 2)
    else:
        target = softened(0.75 * answers[0] + 0.25 * answers[1], 2)
    divergence = (target * (target.log() - torch.log_softmax(student / 2, 1))).sum(1).mean()
    assert term.item() == pytest.approx(4 * divergence.item(), rel=1e-10)
    assert torch.allclose(gradient, 2 * (softened(student, 2) - target) / 96, atol=1e-12)


@pytest.mark.parametrize("of", ["probabilities", "logits"])
def test_teachers_that_agree_are_one_teacher(context, build, of):
    teacher = build("mlp", seed=7)
    ctx = context(teacher=teacher, others=(copy.deepcopy(teacher),))
    loss, batch = loss_of(MultiTeacher(of=of), ctx, build("mlp"))
    single, _ = loss_of(SoftDistillation(), context(teacher=teacher), build("mlp"))
    logits = build("plain")(*batch.inputs)
    assert loss(batch, (logits,))["soft"].item() == pytest.approx(single(batch, (logits,))["soft"].item(), rel=1e-4)


def test_the_control_gives_every_example_the_mean_target_of_its_neighbour(context, build):
    ctx = context(teacher=build("mlp", seed=7), others=(build("mlp", seed=8),))
    loss, batch = loss_of(MultiTeacher(), ctx, build("mlp"))
    shuffled, _ = loss_of(MultiTeacher(shuffled=True), ctx, build("mlp"))
    target = combined([ctx.teacher(batch, 0)[0], ctx.teacher(batch, 1)[0]], EQUAL, "probabilities", 4.0)
    assert loss(batch, (target,))["soft"].item() == pytest.approx(0, abs=1e-5)
    assert shuffled(batch, (target.roll(1, 0),))["soft"].item() == pytest.approx(0, abs=1e-5)
    assert shuffled(batch, (target,))["soft"].item() > 1e-4


def test_labels_alone_are_from_scratch_bit_for_bit_and_ask_no_teacher(context, build):
    scratch = context().fit(build("residual"))
    ctx = context(teacher=build("mlp", seed=7), others=(build("mlp", seed=8),))

    taught = MultiTeacher(ce_weight=1, kd_weight=0).apply(build("residual"), ctx)

    assert ctx.teacher_calls == 0
    assert all(torch.equal(value, taught.state_dict()[name]) for name, value in scratch.state_dict().items())


def test_the_term_falls_and_the_student_agrees_with_what_the_teachers_say_together(context, build):
    teachers = [context(epochs=30, seed=seed).fit(build("mlp", seed=7 + seed)).eval() for seed in (0, 1)]
    before = [copy.deepcopy(teacher.state_dict()) for teacher in teachers]
    ctx = context(teacher=teachers[0], others=(teachers[1],), epochs=20)

    student = MultiTeacher().apply(build("plain"), ctx)
    control = MultiTeacher(shuffled=True).apply(build("plain"), context(teacher=teachers[0], others=(teachers[1],)))

    terms = [epoch["soft"] for epoch in ctx.history.terms_by_epoch]
    together = sum(softened(teacher(ctx.images), 4) for teacher in teachers).argmax(1)
    agreement = [(network(ctx.images).argmax(1) == together).float().mean() for network in (student, control)]
    assert terms[-1] < 0.7 * terms[0]
    assert agreement[0] > agreement[1] + 0.3
    for state, teacher in zip(before, teachers, strict=True):
        assert all(torch.equal(state[name], value) for name, value in teacher.state_dict().items())


def test_one_teacher_is_too_few(context, build):
    with pytest.raises(TechniqueError, match="from two teachers or more, the case has 1; list them under 'teacher'"):
        MultiTeacher().apply(build("mlp"), context(teacher=build("mlp", seed=7)))


def test_weights_of_another_number_than_teachers_are_refused(context, build):
    ctx = context(teacher=build("mlp", seed=7), others=(build("mlp", seed=8),))
    with pytest.raises(TechniqueError, match="3 weights for 2 teachers; write one for each"):
        MultiTeacher(weights=(1.0, 1.0, 1.0)).apply(build("mlp"), ctx)


@pytest.mark.parametrize(
    "fields", [{"of": "votes"}, {"weights": [1, 0]}, {"weights": [1, -1]}, {"temperature": 0}, {"weights": 2}]
)
def test_bad_fields_are_refused(fields):
    with pytest.raises(ValidationError):
        MultiTeacher.from_fields(fields)
