"""Teacher assistants and born-again networks: who learns from whom, at what cost, and what is refused."""

import copy
import logging
import operator

import pytest
import torch
from pydantic import ValidationError

from kdbench import functional as F
from kdbench import testing
from kdbench.protocols.field_errors import sentences
from kdbench.stages import torch_models
from kdbench.stages.context import StageContext
from kdbench.stages.spec import StageSpec
from kdbench.stages.work import Work
from kdbench.techniques.outputs.soft_distillation import SoftDistillation
from kdbench.techniques.teachers.born_again import BornAgain
from kdbench.techniques.teachers.teacher_assistant import TeacherAssistant

CHAINS = [TeacherAssistant(assistants=("mlp", "mlp")), BornAgain(generations=3)]


@pytest.mark.parametrize("technique", CHAINS)
def test_each_network_learns_from_the_one_before_it_and_the_student_comes_last(context, build, technique):
    teacher, student = build("residual", seed=7), build("mlp")
    ctx = context(teacher=teacher, architecture="mlp")
    learned, fit = [], ctx.fit

    def spy(network, loss=None, extra=None, recipe="train", part=(0.0, 1.0)):
        batch = next(iter(ctx.train))
        before = teacher if not learned else learned[-1]
        logits = torch.randn(96, 10)
        expected = F.soft_distillation(logits, before.eval()(*batch.inputs), technique.temperature)
        assert loss(batch, (logits,))["soft"].item() == pytest.approx(expected.item(), rel=1e-5)
        assert part == (0.0, 1.0)
        learned.append(network)
        return fit(network, loss, extra, recipe, part)

    ctx.fit = spy
    result = technique.apply(student, ctx)

    assert result is student
    assert learned[-1] is student
    assert len({id(network) for network in learned}) == 3
    assert [history.epoch_count for history in ctx.histories] == [2, 2, 2]


def test_assistants_are_of_the_architectures_that_the_suite_names(context, build):
    ctx = context(teacher=build("residual", seed=7), architecture="plain")
    asked, fresh = [], ctx.fresh
    ctx.fresh = lambda number, model=None: asked.append((number, model)) or fresh(number, "mlp")
    assistants = ("mlp", {"cnn": {"channels": [16, 48]}})

    TeacherAssistant(assistants=assistants).apply(build("mlp"), ctx)

    assert asked == [(1, assistants[0]), (2, assistants[1])]


def test_generations_start_from_weights_of_their_own(context, build):
    ctx = context(teacher=build("residual", seed=7), architecture="mlp")
    started, fit = [], ctx.fit
    ctx.fit = lambda network, *rest, **named: (
        started.append(network[1].weight.detach().clone()) or fit(network, *rest, **named)
    )

    BornAgain(generations=3).apply(build("mlp"), ctx)

    assert len({weight.numpy().tobytes() for weight in started}) == 3


def test_one_generation_is_soft_distillation_bit_for_bit(context, build):
    soft = SoftDistillation(temperature=2.0).apply(build("plain"), context(teacher=build("mlp", seed=7)))
    born = BornAgain(generations=1, temperature=2.0).apply(build("plain"), context(teacher=build("mlp", seed=7)))
    assert all(torch.equal(value, born.state_dict()[name]) for name, value in soft.state_dict().items())


@pytest.mark.parametrize("cls", [TeacherAssistant, BornAgain])
def test_labels_alone_are_from_scratch_bit_for_bit_in_one_training(context, build, cls):
    scratch = context().fit(build("residual"))
    ctx = context(teacher=build("mlp", seed=7))
    own = {"assistants": ["mlp"]} if cls is TeacherAssistant else {}

    taught = cls.from_fields({"ce_weight": 1, "kd_weight": 0, **own}).apply(build("residual"), ctx)

    assert (ctx.teacher_calls, len(ctx.histories)) == (0, 1)
    assert all(torch.equal(value, taught.state_dict()[name]) for name, value in scratch.state_dict().items())


@pytest.mark.parametrize("technique", CHAINS)
def test_knowledge_comes_through_the_chain_and_the_control_lets_none_through(context, build, technique):
    teacher = context(epochs=30).fit(build("mlp", seed=7)).eval()
    before = copy.deepcopy(teacher.state_dict())
    ctx, other = (context(teacher=teacher, epochs=20) for _ in range(2))
    ctx.fresh = other.fresh = lambda number, model=None: build("plain", seed=50 + number)

    student = technique.apply(build("plain"), ctx)
    control = technique.model_copy(update={"shuffled": True}).apply(build("plain"), other)

    decisions = teacher(ctx.images).argmax(1)
    agreement = [(network(ctx.images).argmax(1) == decisions).float().mean() for network in (student, control)]
    for history in ctx.histories:
        assert history.terms_by_epoch[-1]["soft"] < 0.7 * history.terms_by_epoch[0]["soft"]
    assert agreement[0] > agreement[1] + 0.3
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())


@pytest.mark.parametrize(
    ("technique", "trainings"),
    [(TeacherAssistant(assistants=({"cnn": {"channels": [16, 48]}}, "mlp")), 3), (BornAgain(generations=2), 2)],
)
def test_every_training_of_a_chain_is_recorded_and_every_live_pass_counted(tmp_path, technique, trainings):
    bench = testing._bench()
    parts = {"task": testing.TASK, "model": testing.STUDENT, "recipe:train": testing._recipe(testing.SHORTER)}
    spec = StageSpec("compress", 1, parts, {"data": bench.data, "teacher": bench.teacher}, seed=0)
    ctx = StageContext(Work(spec, bench.store, tmp_path, logging.getLogger("test")))
    student = torch_models.fresh(testing.STUDENT, ctx.task, 0)

    technique.apply(student, ctx)

    facts = ctx.training_facts()
    assert [fact["epoch_count"] for fact in facts] == [1] * trainings
    # nothing of the teacher is stored here, so that its passes are live too
    assert facts[-1]["teacher_forward_count"] == trainings * ctx.task.example_counts["train"]


@pytest.mark.parametrize(
    ("assistants", "sentence"),
    [
        (["restnet20"], "there is no model 'restnet20'. Did you mean 'resnet20'?"),
        ([{"cnn": {"chanels": [8]}}], "cnn has no field 'chanels'. Did you mean 'channels'?"),
        ([{"cnn": {"channels": [0]}}], "cnn.channels.0: must be > 0, got 0."),
        ([{"cnn": {}, "mlp": {}}], "a model is a name, or one {name: {fields}}."),
        (["svm"], "svm is no network, which it must be to learn and teach by its softened outputs."),
        (["mine.py:Own"], "'mine.py:Own' is a model of a file, and only registered ones can stand here; register it."),
    ],
)
def test_an_assistant_that_cannot_be_is_refused_when_the_suite_is_read(assistants, sentence):
    fields = {"assistants": assistants}
    with pytest.raises(ValidationError) as error:
        TeacherAssistant.from_fields(fields)
    assert list(sentences(error.value, TeacherAssistant, "teacher_assistant", fields)) == [
        (("assistants", 0), sentence)
    ]


def test_the_key_knows_an_assistant_by_its_fields_however_it_is_written():
    short, long, other = (
        TeacherAssistant.from_fields({"assistants": [assistant]}).identity()
        for assistant in ("cnn", {"cnn": {"channels": [16, 32, 64]}}, {"cnn": {"channels": [16, 32, 32]}})
    )
    assert short == long
    assert short != other
    assert operator.itemgetter("name", "version")(short["assistants"][0]) == ("cnn", 1)


@pytest.mark.parametrize(
    ("cls", "fields"),
    [
        (TeacherAssistant, {}),
        (TeacherAssistant, {"assistants": []}),
        (TeacherAssistant, {"assistants": ["mlp"], "temperature": 0}),
        (BornAgain, {"generations": 0}),
        (BornAgain, {"generations": 1.5}),
        (BornAgain, {"kd_weight": 0}),
    ],
)
def test_bad_fields_are_refused(cls, fields):
    with pytest.raises(ValidationError):
        cls.from_fields(fields)
