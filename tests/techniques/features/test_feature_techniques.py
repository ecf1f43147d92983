"""FitNet, attention, selectivity, information, flow and boundaries: what they tap, train, and leave alone."""

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as nnf
from pydantic import ValidationError
from torch import nn

from kdbench import functional as F
from kdbench.errors import TechniqueError
from kdbench.models.cnn import CNN
from kdbench.protocols import Layers, TaskDescription
from kdbench.techniques.features.activation_boundary import ActivationBoundary
from kdbench.techniques.features.attention_transfer import AttentionTransfer
from kdbench.techniques.features.fitnet import FitNet
from kdbench.techniques.features.flow_of_solution import FlowOfSolution
from kdbench.techniques.features.neuron_selectivity import NeuronSelectivity
from kdbench.techniques.features.variational_information import VariationalInformation

TASK = TaskDescription.classification(
    input_names=("image",), input_shapes=((1, 8, 8),), class_names=tuple("0123456789"), example_counts={"train": 96}
)
STUDENT = CNN(channels=(8, 12, 16))
WIDER = CNN(channels=(12, 16, 16), convs_per_stage=2)
DEEPER = CNN(channels=(8, 12, 16), convs_per_stage=2)
"""As wide as the student, stage by stage."""

ONE_GO = [FitNet, AttentionTransfer, NeuronSelectivity, VariationalInformation]
TWO_GOES = [FlowOfSolution, ActivationBoundary]
ALL = [*ONE_GO, *TWO_GOES]


def teacher_of(cls: type) -> CNN:
    return DEEPER if cls is FlowOfSolution else WIDER


def network(model: CNN = STUDENT, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return model.build(TASK)


@pytest.fixture(scope="module")
def lessons() -> dict[str, nn.Module]:
    """Teachers that have learned, by their declaration; made once."""
    return {}


@pytest.fixture
def meet(context, lessons) -> Callable[..., object]:
    """meet(FitNet): a context in which a trained teacher meets the student, with both architectures' layers."""

    def make(cls: type, epochs: int = 2):
        model = teacher_of(cls)
        if str(model) not in lessons:
            lessons[str(model)] = context(epochs=20).fit(network(model, seed=7)).eval()
        ctx = context(teacher=copy.deepcopy(lessons[str(model)]), epochs=epochs)
        ctx.student_layers, ctx.teacher_layers = STUDENT.layers(), model.layers()
        return ctx

    return make


def features(model: nn.Module, images: torch.Tensor, upto: str) -> torch.Tensor:
    """What a layer gives, without any hook: `layer2`, or `layer2.1` for a module within."""
    stage, _, inner = upto.partition(".")
    for name, module in model.named_children():
        if name == stage:
            return module(images) if not inner else module[: int(inner) + 1](images)
        images = module(images)
    raise AssertionError(f"no layer {upto}")


def first_loss(technique, ctx, student: nn.Module) -> tuple[Callable, nn.Module | None]:
    """The loss and the adapters that the technique's first go trains with; nothing is trained."""
    caught = []

    def fit(model, loss=None, extra=None, recipe="train", part=(0.0, 1.0)):
        batch = next(ctx.train)
        caught.append((loss(batch, (model(*batch.inputs),)), extra))
        return model

    ctx.fit = fit
    technique.apply(student, ctx)
    return caught[0]


@pytest.mark.parametrize("cls", ALL)
def test_labels_alone_are_from_scratch_bit_for_bit_and_the_teacher_is_never_asked(cls, meet):
    scratch = meet(cls).fit(network())
    ctx = meet(cls)
    ctx.answers = None  # whoever asked would fail

    taught = cls(ce_weight=1, kd_weight=0).apply(network(), ctx)

    for name, value in scratch.state_dict().items():
        assert torch.equal(value, taught.state_dict()[name]), name


@pytest.mark.parametrize(
    ("cls", "weight"),
    [
        (FitNet, 100),
        (AttentionTransfer, 1000),
        (NeuronSelectivity, 50),
        (VariationalInformation, 1),
        (FlowOfSolution, 50),
        (ActivationBoundary, 1),
    ],
)
def test_the_default_weights_are_those_of_the_published_table(cls, weight):
    technique = cls()

    assert (technique.kd_weight, technique.ce_weight, technique.soft_weight) == (weight, 1, 0)


def test_each_technique_weighs_the_function_of_its_name_on_the_layers_it_says(meet):
    def taught(cls, student_layers, teacher_layers, **fields):
        ctx, student = meet(cls), network().train()
        probe = copy.deepcopy(student)
        parts, adapters = first_loss(cls(kd_weight=2.0, **fields), ctx, student)
        images = ctx.images
        own = [features(probe, images, layer) for layer in student_layers]
        theirs = [features(ctx.teacher_module, images, layer) for layer in teacher_layers]
        return parts, own, theirs, adapters

    stages = ["layer1", "layer2", "layer3"]
    parts, s, t, _ = taught(AttentionTransfer, stages, stages)
    assert parts["attention_transfer"].item() == pytest.approx(2 * F.attention_transfer(s, t).item(), rel=1e-5)
    parts, s, t, _ = taught(NeuronSelectivity, stages, stages)
    assert parts["neuron_selectivity"].item() == pytest.approx(2 * F.neuron_selectivity(s, t).item(), rel=1e-5)
    parts, s, t, adapters = taught(FitNet, ["layer2"], ["layer2"])
    assert parts["fitnet"].item() == pytest.approx(2 * F.hint(adapters(s)[0], t[0]).item(), rel=1e-5)
    parts, s, t, adapters = taught(VariationalInformation, stages, stages)
    by_layer = [F.variational_information(*guess, g) for guess, g in zip(adapters(s), t, strict=True)]
    assert parts["variational_information"].item() == pytest.approx(2 * sum(by_layer).item(), rel=1e-5)
    parts, s, t, _ = taught(FlowOfSolution, stages, stages)
    flow = F.flow_of_solution([(s[0], s[1]), (s[1], s[2])], [(t[0], t[1]), (t[1], t[2])])
    assert parts["flow_of_solution"].item() == pytest.approx(2 * flow.item(), rel=1e-5)
    before_relu = ["layer1.1", "layer2.1", "layer3.1"], ["layer1.4", "layer2.4", "layer3.4"]
    parts, s, t, adapters = taught(ActivationBoundary, *before_relu, margin=0.5)
    boundary = F.activation_boundary(adapters(s), t, 0.5)
    assert parts["activation_boundary"].item() == pytest.approx(2 * boundary.item(), rel=1e-5)


@pytest.mark.parametrize("cls", ONE_GO)
def test_labels_and_softened_outputs_are_added_with_their_own_weights(cls, meet):
    ctx, student = meet(cls), network().train()
    batch = next(ctx.train)
    logits = copy.deepcopy(student)(*batch.inputs)

    parts, _ = first_loss(cls(ce_weight=0.5, soft_weight=0.3, temperature=2.0), ctx, student)

    assert parts.keys() == {"ce", "soft", cls.label()}
    assert parts["ce"].item() == pytest.approx(0.5 * nnf.cross_entropy(logits, batch.targets[0]).item(), rel=1e-5)
    soft = F.soft_distillation(logits, ctx.teacher_module(ctx.images), 2.0)
    assert parts["soft"].item() == pytest.approx(0.3 * soft.item(), rel=1e-5)


@pytest.mark.parametrize("cls", ALL)
def test_the_term_falls_and_further_than_with_the_features_of_other_examples(cls, meet):
    fields = {"init_fraction": 0.9} if cls in TWO_GOES else {}
    if cls is VariationalInformation:
        fields = {"kd_weight": 20.0}  # of sixty steps its variances need more than the published 1

    def course(**more) -> list[float]:
        ctx = meet(cls, epochs=20)
        cls(**fields, **more).apply(network(), ctx)
        return [terms[cls.label()] for terms in ctx.histories[0].terms_by_epoch]

    real, shuffled = course(), course(shuffled=True)

    assert real[-1] < real[0] - 0.2 * abs(real[0])
    assert real[-1] < shuffled[-1]


@pytest.mark.parametrize("cls", ALL)
def test_nothing_is_left_behind(cls, meet):
    ctx, student = meet(cls), network()
    teacher, names = ctx.teacher_module, list(student.state_dict())
    before = copy.deepcopy(teacher.state_dict())

    taught = cls().apply(student, ctx)

    assert list(taught.state_dict()) == names
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())
    assert all(parameter.grad is None for parameter in teacher.parameters())
    for module in (*teacher.modules(), *taught.modules()):
        assert not [*module._forward_hooks, *module._forward_pre_hooks]


@pytest.mark.parametrize(
    ("count", "middle"), [(1, "layer1"), (2, "layer1"), (3, "layer2"), (4, "layer2"), (5, "layer3")]
)
def test_the_hint_is_by_default_the_middle_stage_the_earlier_of_two(count, middle):
    assert FitNet.default_layers(CNN(channels=(8,) * count).layers()) == (middle,)


@pytest.mark.parametrize("cls", ALL)
@pytest.mark.parametrize("whose", ["student", "teacher"])
def test_a_layer_that_is_not_there_is_answered_with_those_that_are(cls, whose, meet):
    many = cls is not FitNet
    fields = {f"{whose}_layer{'s' * many}": ["layer1", "layer9"] if many else "layer9"}

    with pytest.raises(TechniqueError, match=rf"the {whose} has no layer 'layer9'\..* layer1, .* classifier\."):
        cls.from_fields(fields).apply(network(), meet(cls))


@pytest.mark.parametrize("cls", ALL)
def test_an_architecture_that_names_no_layers_asks_the_suite_for_them(cls, meet):
    ctx = meet(cls)
    ctx.teacher_layers = Layers()

    with pytest.raises(TechniqueError, match="the teacher's architecture names no default layer; name one"):
        cls().apply(network(), ctx)


@pytest.mark.parametrize("cls", [c for c in ALL if c is not FitNet])
def test_layers_are_named_in_pairs(cls):
    with pytest.raises(ValidationError, match="name pairs"):
        cls.from_fields({"student_layers": ["a", "b"], "teacher_layers": ["a"]})
    with pytest.raises(ValidationError):
        cls.from_fields({"student_layers": []})


@pytest.mark.parametrize(
    ("cls", "fields"),
    [
        (FitNet, {"kd_weight": -1}),
        (FitNet, {"hint_fraction": 1.0}),
        (FitNet, {"regressor": "linear"}),
        (FitNet, {"stages": "two", "ce_weight": 0}),
        (FitNet, {"student_layer": ""}),
        (FitNet, {"student_layers": ["layer1"]}),
        (AttentionTransfer, {"kd_weight": 0, "soft_weight": 1}),
        (AttentionTransfer, {"temperature": 0}),
        (NeuronSelectivity, {"soft_weight": -1}),
        (VariationalInformation, {"initial_variance": 0}),
        (FlowOfSolution, {"init_fraction": 0}),
        (FlowOfSolution, {"ce_weight": 0}),
        (ActivationBoundary, {"margin": 0}),
        (ActivationBoundary, {"init_fraction": 1.0}),
    ],
)
def test_fields_that_make_no_sense_are_refused(cls, fields):
    with pytest.raises(ValidationError):
        cls.from_fields(fields)


@pytest.mark.parametrize("technique", [FlowOfSolution(), ActivationBoundary(), FitNet(stages="two")])
def test_two_goes_share_the_recipes_epochs_and_keep_their_losses_apart(technique, meet):
    ctx = meet(type(technique), epochs=16)

    technique.apply(network(), ctx)

    first, second = ctx.histories
    assert (first.epoch_count, second.epoch_count) == (2, 14)
    assert first.terms_by_epoch[0].keys() == {technique.label()}
    assert second.terms_by_epoch[0].keys() == {"ce"}


def test_after_the_hint_the_student_can_learn_from_softened_outputs_as_in_the_paper(meet):
    ctx = meet(FitNet, epochs=8)

    FitNet(stages="two", hint_fraction=0.5, soft_weight=0.9).apply(network(), ctx)

    assert [len(history.terms_by_epoch) for history in ctx.histories] == [4, 4]
    assert [history.terms_by_epoch[0].keys() for history in ctx.histories] == [{"fitnet"}, {"ce", "soft"}]


def test_the_hint_alone_leaves_the_layers_behind_it_as_they_were(meet):
    student, before = network(), network()

    FitNet(stages="two", student_layer="layer2").apply(student, meet(FitNet, epochs=1))

    moved = {name for name, p in student.named_parameters() if not torch.equal(p, before.get_parameter(name))}
    assert moved == {name for name, _ in before.named_parameters() if name.startswith(("layer1", "layer2"))}


@pytest.mark.parametrize("regressor", ["conv_bn", "conv"])
def test_a_regressor_without_relu_comes_closer_to_hints_below_zero(regressor, meet):
    norms = {"student_layer": "layer2.1", "teacher_layer": "layer2.4"}  # BatchNorm: half of it is negative

    def last(**fields) -> float:
        ctx = meet(FitNet, epochs=20)
        FitNet(kd_weight=1, **norms, **fields).apply(network(), ctx)
        return ctx.history.terms_by_epoch[-1]["fitnet"]

    assert last(regressor=regressor) < last(regressor="conv_bn_relu")


def test_flow_needs_equal_channels_and_names_both(meet):
    ctx = meet(AttentionTransfer)

    with pytest.raises(
        TechniqueError, match=r"the student's layers have \[8, 12, 16\] and the teacher's \[12, 16, 16\]"
    ):
        FlowOfSolution().apply(network(), ctx)


def test_flow_needs_two_layers(meet):
    one = FlowOfSolution(student_layers=("layer1",), teacher_layers=("layer1",))

    with pytest.raises(TechniqueError, match="pairs of layers"):
        one.apply(network(), meet(FlowOfSolution))


@pytest.mark.parametrize("cls", [AttentionTransfer, NeuronSelectivity, FlowOfSolution])
def test_what_needs_maps_says_so_where_a_layer_gives_vectors(cls, context, build):
    ctx = context(teacher=build("mlp", seed=7))
    layers = {"student_layers": ("2", "4"), "teacher_layers": ("2", "4")}

    with pytest.raises(TechniqueError, match=rf"{cls.label()} works on feature maps .* layer '2' gives \(64,\)"):
        cls(**layers).apply(build("mlp"), ctx)


@pytest.mark.parametrize(
    "technique",
    [
        FitNet(student_layer="4", teacher_layer="2"),
        VariationalInformation(student_layers=("4",), teacher_layers=("2",)),
        ActivationBoundary(student_layers=("2", "4"), teacher_layers=("4", "2"), init_fraction=0.9),
    ],
)
def test_networks_without_maps_are_taught_through_linear_adapters(technique, context, build):
    ctx = context(teacher=build("mlp", seed=7), epochs=10)

    technique.apply(build("mlp"), ctx)

    terms = [terms[technique.label()] for terms in ctx.histories[0].terms_by_epoch]
    assert terms[-1] < terms[0]


def test_the_variances_are_trained_and_approach_the_error_of_the_guess(meet):
    ctx, caught = meet(VariationalInformation, epochs=20), []
    fit = ctx.fit

    def keeping(model, loss=None, extra=None, recipe="train", part=(0.0, 1.0)):
        caught.append(extra)
        return fit(model, loss, extra, recipe, part)

    ctx.fit = keeping
    student = VariationalInformation(kd_weight=20.0).apply(network(), ctx)
    own = [features(student, ctx.images, stage) for stage in STUDENT.layers().stages]
    theirs = [features(ctx.teacher_module, ctx.images, stage) for stage in WIDER.layers().stages]

    for (mean, variance), taught in zip(caught[0](own), theirs, strict=True):
        error = (mean - taught).square().mean((0, 2, 3))
        assert ((variance - error).abs() < 0.7 * (5 - error)).all()


@pytest.mark.parametrize("cls", ALL)
def test_under_bf16_the_term_is_computed_in_full_precision(cls, meet):
    plain, narrow = meet(cls), meet(cls)
    narrow.recipe = narrow.recipe.model_copy(update={"precision": "bf16"})
    cls().apply(network(), plain)
    cls().apply(network(), narrow)

    first, second = (ctx.histories[0].terms_by_epoch[0][cls.label()] for ctx in (plain, narrow))
    assert second == pytest.approx(first, rel=0.05)
    assert second != first


@pytest.mark.parametrize("cls", ALL)
def test_a_last_batch_of_one_example_is_taken_like_any_other(cls, meet):
    ctx = meet(cls)
    ctx.images, ctx.targets = ctx.images[:65], ctx.targets[:65]

    taught = cls().apply(network(), ctx)

    assert ctx.histories[0].epoch_count >= 1
    assert taught(ctx.images).shape == (65, 10)
