"""Transfer learning: what goes over and what is said of it, what stays frozen, and where the weights come from."""

import copy
import hashlib
import logging

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from torch import nn

from kdbench import testing
from kdbench.errors import ModelError, TechniqueError
from kdbench.stages import torch_models
from kdbench.stages.context import StageContext
from kdbench.stages.spec import StageSpec
from kdbench.stages.work import Work
from kdbench.techniques.outputs.soft_distillation import SoftDistillation
from kdbench.techniques.weights.transfer_learning import TransferLearning


def network(width=8, classes=10, depth=1, seed=0):
    """Layers of our own choice, by name; BatchNorm statistics are not those of a new one."""
    torch.manual_seed(seed)
    made = nn.Sequential()
    made.add_module("stem", nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()))
    for number in range(depth):
        before = 8 if number == 0 else width
        made.add_module(f"layer{number}", nn.Sequential(nn.Conv2d(before, width, 3), nn.BatchNorm2d(width)))
    made.add_module("flatten", nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten()))
    made.add_module("fc", nn.Linear(width * 4, classes))
    made(torch.rand(16, 1, 8, 8))
    return made


def untrained(ctx):
    """A context whose training changes nothing."""
    ctx.fit = lambda model, loss=None, extra=None, recipe="train", part=(0.0, 1.0): model
    return ctx


def test_everything_goes_over_where_everything_fits(context):
    teacher, student = network(seed=1), network(seed=2)
    ctx = untrained(context(teacher=teacher))

    result = TransferLearning().apply(student, ctx)

    assert result is student
    for name, value in teacher.state_dict().items():
        assert torch.equal(value, result.state_dict()[name]), name
    assert ctx.notes == []


def test_a_layer_that_does_not_fit_stays_fresh_as_a_whole_and_is_named(context):
    teacher, student = network(classes=100, seed=1), network(width=12, depth=2, seed=2)
    before = copy.deepcopy(student.state_dict())
    ctx = untrained(context(teacher=teacher))

    state = TransferLearning().apply(student, ctx).state_dict()

    for name, value in state.items():
        source = teacher.state_dict() if name.startswith("stem.") else before
        assert torch.equal(value, source[name]), name
    assert ctx.notes == [
        "transfer_learning matched 7 of 23 tensors; "
        "layer0.0.weight differs in shape ((8, 8, 3, 3), here (12, 8, 3, 3)), "
        "layer0.0.bias differs in shape ((8,), here (12,)), layer0.1.weight differs in shape ((8,), here (12,)) "
        "and 5 more; fresh: layer0.0.*, layer0.1.*, layer1.0.* and 2 more."
    ]


def test_where_nothing_fits_it_says_what_either_side_has(context, build):
    with pytest.raises(
        TechniqueError,
        match=r"no layer of the source fits the student by name and shape; it has stem\.0\.weight \(8, 1, 3, 3\), .* "
        r"and 13 more; the student 1\.weight \(64, 64\)",
    ):
        TransferLearning().apply(build("mlp"), context(teacher=network()))


def test_a_bias_that_fits_by_chance_is_no_match(context):
    teacher, student = nn.Sequential(nn.Linear(64, 10)), nn.Sequential(nn.Linear(32, 10))
    with pytest.raises(TechniqueError, match="no layer of the source fits"):
        TransferLearning().apply(student, context(teacher=teacher))


def test_the_rest_is_trained_and_what_is_frozen_stays_to_the_bit(context):
    teacher, student = network(seed=1), network(seed=2)
    ctx = context(teacher=teacher, epochs=3)

    result = TransferLearning(freeze=("stem", "layer0.1")).apply(student, ctx)

    held = ("stem.", "layer0.1.")
    for name, value in result.state_dict().items():
        same = torch.equal(value, teacher.state_dict()[name])
        assert same == name.startswith(held), name
    assert ctx.roles == ["train"]
    assert ctx.history.terms_by_epoch[-1]["ce"] < ctx.history.terms_by_epoch[0]["ce"]


def test_without_freeze_statistics_move_and_the_teacher_stays_as_it_was(context):
    teacher = network(seed=1)
    before = copy.deepcopy(teacher.state_dict())
    result = TransferLearning().apply(network(seed=2), context(teacher=teacher))
    assert not torch.equal(result.state_dict()["stem.1.running_mean"], before["stem.1.running_mean"])
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())


def test_no_trace_of_freezing_is_left(context):
    student = network(seed=2)
    student.fc.bias.requires_grad_(False)
    asked = {name: parameter.requires_grad for name, parameter in student.named_parameters()}

    result = TransferLearning(freeze=("stem", "fc")).apply(student, context(teacher=network(seed=1)))

    assert {name: parameter.requires_grad for name, parameter in result.named_parameters()} == asked
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in result.modules())
    assert list(result.state_dict()) == list(network().state_dict())


def test_freezing_what_did_not_come_over_is_said(context):
    ctx = context(teacher=network(classes=100, seed=1), epochs=1)
    TransferLearning(freeze=("fc",)).apply(network(seed=2), ctx)
    assert ctx.notes[1:] == ["transfer_learning froze new weights: fc.weight, fc.bias."]


@pytest.mark.parametrize(
    ("freeze", "sentence"),
    [
        (("stemm",), "the student has no layer 'stemm'. Did you mean 'stem'?.* It has: .*fc"),
        (("stem", "layer0", "fc"), "freezing stem, layer0, fc leaves nothing of the student to train; freeze less"),
    ],
)
def test_freezing_what_is_not_there_or_everything_is_refused(context, freeze, sentence):
    with pytest.raises(TechniqueError, match=sentence):
        TransferLearning(freeze=freeze).apply(network(), context(teacher=network(seed=1)))


@pytest.mark.parametrize("kind", ["pt", "pth", "safetensors", "folder"])
def test_weights_come_from_a_file_or_a_folder_without_a_teacher(context, tmp_path, kind):
    source, student = network(seed=1), network(seed=2)
    place = tmp_path / f"weights.{kind}"
    if kind == "folder":
        place.mkdir()
        torch_models.save(source, testing.STUDENT, place)
    elif kind == "safetensors":
        save_file(source.state_dict(), place)
    else:
        torch.save(source.state_dict(), place)
    technique = TransferLearning(source=str(place))

    state = technique.apply(student, untrained(context())).state_dict()

    assert all(torch.equal(value, state[name]) for name, value in source.state_dict().items())
    assert technique.asks() == frozenset()
    assert TransferLearning().asks() == {"teacher_features"}


def test_names_are_brought_to_the_students_by_their_beginnings(context, tmp_path):
    source, student = network(seed=1), network(seed=2)
    state = {f"module.{name.replace('stem', 'entry')}": value for name, value in source.state_dict().items()}
    torch.save(state, tmp_path / "weights.pt")
    rename = {"module.entry": "stem", "module.": ""}

    result = TransferLearning(source=str(tmp_path / "weights.pt"), rename=rename).apply(student, untrained(context()))

    assert all(torch.equal(value, result.state_dict()[name]) for name, value in source.state_dict().items())


def test_the_key_goes_by_a_files_content_and_not_by_its_place(tmp_path):
    for name, content in (("a.pt", b"one"), ("b.pt", b"one"), ("c.pt", b"two")):
        (tmp_path / name).write_bytes(content)
    a, b, c = (TransferLearning(source=str(tmp_path / name)).identity() for name in ("a.pt", "b.pt", "c.pt"))
    assert a == b
    assert a != c
    assert a["source"] == hashlib.sha256(b"one").hexdigest()
    assert TransferLearning().identity() == TransferLearning().to_fields()
    with pytest.raises(ModelError, match=r"cannot read the weights file '.*d\.pt' \(No such file or directory\)"):
        TransferLearning(source=str(tmp_path / "d.pt")).identity()


def test_a_distillation_goes_on_from_the_transferred_weights(tmp_path):
    bench = testing._bench()
    inputs = {"data": bench.data, "teacher": bench.teacher}
    recipe = {"recipe:train": testing._recipe(testing.SHORTER)}
    spec = StageSpec("compress", 1, {"task": testing.TASK, "model": testing.STUDENT, **recipe}, inputs, seed=0)
    ctx = StageContext(Work(spec, bench.store, tmp_path, logging.getLogger("test")))
    student = torch_models.fresh(testing.STUDENT, ctx.task, 0)

    transferred = TransferLearning(freeze=("layer1",)).apply(student, ctx)
    between = copy.deepcopy(transferred.state_dict())
    taught = SoftDistillation().apply(transferred, ctx)

    assert ctx.notes == [
        "transfer_learning matched 6 of 14 tensors; "
        "layer2.0.weight differs in shape ((64, 16, 3, 3), here (32, 16, 3, 3)), "
        "layer2.1.weight differs in shape ((64,), here (32,)), layer2.1.bias differs in shape ((64,), here (32,)) "
        "and 3 more; fresh: layer2.0.*, layer2.1.*, classifier.*."
    ]
    assert torch.equal(between["layer1.0.weight"], ctx.teacher_module.state_dict()["layer1.0.weight"])
    assert not torch.equal(between["layer1.0.weight"], taught.state_dict()["layer1.0.weight"])
    assert len(ctx.histories) == 2


@pytest.mark.parametrize("fields", [{"source": ""}, {"freeze": [""]}, {"freeze": "stem"}, {"rename": ["a"]}])
def test_bad_fields_are_refused(fields):
    with pytest.raises(ValidationError):
        TransferLearning.from_fields(fields)
