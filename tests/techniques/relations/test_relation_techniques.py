"""Relations, factors, contrast and review: what they tap, train, remember, and leave alone."""

import copy
import warnings
from collections.abc import Callable

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from kdbench import functional as F
from kdbench.errors import TechniqueError
from kdbench.models.cnn import CNN
from kdbench.protocols import Layers, TaskDescription
from kdbench.techniques.features._fusion import Fusion
from kdbench.techniques.features._fusion import Review as Fused
from kdbench.techniques.features.factor_transfer import FactorTransfer
from kdbench.techniques.features.review import Review
from kdbench.techniques.relations._embeddings import Embeddings
from kdbench.techniques.relations.contrastive import Contrastive
from kdbench.techniques.relations.correlation_congruence import CorrelationCongruence
from kdbench.techniques.relations.probabilistic_transfer import ProbabilisticTransfer
from kdbench.techniques.relations.relational import Relational
from kdbench.techniques.relations.similarity_preserving import SimilarityPreserving

TASK = TaskDescription.classification(
    input_names=("image",), input_shapes=((1, 8, 8),), class_names=tuple("0123456789"), example_counts={"train": 96}
)
STUDENT = CNN(channels=(8, 12, 16))
TEACHER = CNN(channels=(12, 16, 24), strides=(1, 2, 1))
"""Wider, and its last stage is twice as large."""

PUBLISHED = {
    SimilarityPreserving: 3000,
    Relational: 1,
    ProbabilisticTransfer: 30000,
    CorrelationCongruence: 0.02,
    FactorTransfer: 200,
    Contrastive: 0.8,
    Review: 1,
}
ALL = list(PUBLISHED)


def network(model: CNN = STUDENT, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return model.build(TASK)


@pytest.fixture(scope="module")
def lesson() -> list[nn.Module]:
    """The teacher that has learned, made once."""
    return []


@pytest.fixture
def meet(context, lesson) -> Callable[..., object]:
    """A context in which a trained teacher meets the student, with both architectures' layers."""

    def make(epochs: int = 2):
        if not lesson:
            lesson.append(context(epochs=20).fit(network(TEACHER, seed=7)).eval())
        ctx = context(teacher=copy.deepcopy(lesson[0]), epochs=epochs)
        ctx.task = TASK
        ctx.student_layers, ctx.teacher_layers = STUDENT.layers(), TEACHER.layers()
        return ctx

    return make


def at(model: nn.Module, images: torch.Tensor, layer: str) -> torch.Tensor:
    """What a layer gives, without any hook."""
    for name, module in model.named_children():
        images = module(images)
        if name == layer:
            return images
    raise AssertionError(f"no layer {layer}")


def last_loss(technique, ctx, student: nn.Module) -> tuple[dict[str, torch.Tensor], nn.Module | None]:
    """The terms and the adapters of the technique's last go, on the whole training split; nothing is trained."""
    caught = []

    def fit(model, loss=None, extra=None, recipe="train", part=(0.0, 1.0)):
        batch = next(ctx.train)
        before = copy.deepcopy(extra)
        caught.append((loss(batch, (model(*batch.inputs),)), before))
        return model

    ctx.fit = fit
    technique.apply(student, ctx)
    return caught[-1]


@pytest.mark.parametrize("cls", ALL)
def test_labels_alone_are_from_scratch_bit_for_bit_and_the_teacher_is_never_asked(cls, meet):
    scratch = meet().fit(network())
    ctx = meet()
    ctx.answers = None  # whoever asked would fail

    taught = cls(ce_weight=1, kd_weight=0).apply(network(), ctx)

    for name, value in scratch.state_dict().items():
        assert torch.equal(value, taught.state_dict()[name]), name


@pytest.mark.parametrize(("cls", "weight"), PUBLISHED.items())
def test_the_default_weights_are_those_of_the_published_table(cls, weight):
    technique = cls()

    assert (technique.kd_weight, technique.ce_weight, technique.soft_weight) == (weight, 1, 0)


@pytest.mark.parametrize(
    ("technique", "layer", "formula"),
    [
        (SimilarityPreserving(kd_weight=2), "layer3", F.similarity_preserving),
        (ProbabilisticTransfer(kd_weight=2), "pool", F.probabilistic_transfer),
        (Relational(kd_weight=2, distance_weight=1, angle_weight=0), "pool", F.relational_distance),
        (Relational(kd_weight=2, distance_weight=0, angle_weight=1), "pool", F.relational_angle),
        (
            Relational(kd_weight=2),
            "pool",
            lambda s, t: 25 * F.relational_distance(s, t) + 50 * F.relational_angle(s, t),
        ),
    ],
)
def test_a_relation_is_the_function_of_its_name_on_the_layer_it_says(technique, layer, formula, meet):
    ctx, student = meet(), network().train()
    probe = copy.deepcopy(student)

    parts, adapters = last_loss(technique, ctx, student)

    expected = 2 * formula(at(probe, ctx.images, layer), at(ctx.teacher_module, ctx.images, layer))
    assert parts.keys() == {"ce", technique.label()}
    assert parts[technique.label()].item() == pytest.approx(expected.item(), rel=1e-4)
    assert adapters is None


@pytest.mark.parametrize("kernel", ["neighbours", "bilinear", "gaussian"])
def test_correlation_congruence_compares_linear_embeddings(kernel, meet):
    ctx, student = meet(), network().train()
    probe = copy.deepcopy(student)

    parts, maps = last_loss(CorrelationCongruence(kd_weight=2, kernel=kernel), ctx, student)

    mine = maps.student(at(probe, ctx.images, "pool").flatten(1))
    its = maps.teacher(at(ctx.teacher_module, ctx.images, "pool").flatten(1))
    assert mine.shape == its.shape == (96, 128)
    expected = 2 * F.correlation_congruence(mine, its, kernel)
    assert parts["correlation_congruence"].item() == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.parametrize("pools", [True, False])
def test_factor_transfer_compares_factors_of_half_the_teacher_s_channels_at_the_smaller_size(pools, meet):
    ctx, student = meet(), network().train()
    probe, seen = copy.deepcopy(student), []
    technique = FactorTransfer(kd_weight=2, pools_channels=pools)
    build = FactorTransfer.adapters

    def adapters(self, *shapes):
        seen.append(build(self, *shapes))
        return seen[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FactorTransfer, "adapters", adapters)
        parts, translator = last_loss(technique, ctx, student)

    mine = translator(at(probe, ctx.images, "layer3"))
    its = seen[0].paraphraser.encoder(at(ctx.teacher_module, ctx.images, "layer3"))
    assert (mine.shape, its.shape) == ((96, 12, 2, 2), (96, 12, 4, 4))
    its = its.reshape(96, 12, 2, 2, 2, 2).mean((3, 5))
    if pools:
        mine, its = (mine**2).mean(1), (its**2).mean(1)
    assert parts["factor_transfer"].item() == pytest.approx(2 * F.factor_transfer(mine, its).item(), rel=1e-4)


def test_review_compares_fused_maps_with_all_stages_and_the_embedding(meet):
    ctx, student = meet(), network().train()
    probe = copy.deepcopy(student)
    layers = ("layer1", "layer2", "layer3", "pool")

    parts, fusion = last_loss(Review(kd_weight=2), ctx, student)

    theirs = [at(ctx.teacher_module, ctx.images, layer) for layer in layers]
    fused = fusion([at(probe, ctx.images, layer) for layer in layers], [its.shape[2:] for its in theirs])
    assert [mine.shape for mine in fused] == [its.shape for its in theirs]
    assert parts["review"].item() == pytest.approx(2 * F.review(fused, theirs).item(), rel=1e-4)


@pytest.mark.parametrize("cls", ALL)
def test_softened_outputs_are_added_with_their_own_weight(cls, meet):
    ctx, student = meet(), network().train()
    logits = copy.deepcopy(student)(ctx.images)

    parts, _ = last_loss(cls(soft_weight=3, temperature=2), ctx, student)

    expected = 3 * F.soft_distillation(logits, ctx.teacher_module(ctx.images), 2.0)
    assert parts["soft"].item() == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.parametrize("cls", ALL)
def test_the_term_falls_in_training(cls, meet):
    ctx = meet(epochs=24 if cls is Contrastive else 12)

    cls().apply(network(), ctx)

    term = [terms[cls().label()] for terms in ctx.history.terms_by_epoch]
    assert term[-1] < 0.9 * term[0]


@pytest.mark.parametrize("cls", ALL)
def test_student_and_teacher_are_left_without_a_trace(cls, meet):
    ctx, student = meet(), network()
    names = set(student.state_dict())
    before = copy.deepcopy(ctx.teacher_module.state_dict())

    taught = cls().apply(student, ctx)

    assert set(taught.state_dict()) == names
    assert all(torch.equal(before[name], value) for name, value in ctx.teacher_module.state_dict().items())
    modules = [*taught.modules(), *ctx.teacher_module.modules()]
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in modules)


@pytest.mark.parametrize("cls", ALL)
def test_hooks_come_off_when_training_fails(cls, meet):
    ctx, student = meet(), network()

    def fit(*arguments, **options):
        raise KeyboardInterrupt

    ctx.fit = fit
    with pytest.raises(KeyboardInterrupt):
        cls().apply(student, ctx)

    modules = [*student.modules(), *ctx.teacher_module.modules()]
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in modules)


@pytest.mark.parametrize("cls", ALL)
def test_bf16_changes_the_term_little_and_a_smaller_last_batch_is_taken(cls, meet):
    def first_epoch(precision: str) -> float:
        ctx = meet()
        ctx.images, ctx.targets = ctx.images[:67], ctx.targets[:67]
        ctx.recipe = ctx.recipe.model_copy(update={"precision": precision, "learning_rate": 1e-4})
        cls().apply(network(), ctx)
        return ctx.history.terms_by_epoch[0][cls().label()]

    assert first_epoch("bf16") == pytest.approx(first_epoch("fp32"), rel=0.05)


@pytest.mark.parametrize("cls", ALL)
def test_an_unknown_layer_is_refused_with_the_legal_names(cls, meet):
    single = "student_layer" in cls.model_fields
    fields = {"student_layer": "layer9"} if single else {"student_layers": ["layer9"], "teacher_layers": ["layer1"]}

    with pytest.raises(TechniqueError, match=r"student has no layer 'layer9'.*layer1.*layer2.*layer3"):
        cls.from_fields(fields).apply(network(), meet())


@pytest.mark.parametrize("cls", ALL)
def test_an_architecture_without_default_layers_asks_for_names(cls, meet):
    ctx = meet()
    ctx.teacher_layers = Layers()

    with pytest.raises(TechniqueError, match=r"the teacher's architecture names no default layer.*layer1"):
        cls().apply(network(), ctx)


@pytest.mark.parametrize(
    ("cls", "fields"),
    [
        (SimilarityPreserving, {"kd_weight": -1}),
        (SimilarityPreserving, {"student_layer": "layer3"}),
        (Relational, {"distance_weight": 0, "angle_weight": 0}),
        (Relational, {"angle_weight": -1}),
        (ProbabilisticTransfer, {"student_layers": ["layer3"]}),
        (CorrelationCongruence, {"kernel": "linear"}),
        (CorrelationCongruence, {"embedding_size": 0}),
        (FactorTransfer, {"factor_fraction": 0}),
        (FactorTransfer, {"paraphraser_fraction": 1}),
        (Contrastive, {"contrast_temperature": 0}),
        (Contrastive, {"memory_momentum": 1}),
        (Contrastive, {"negative_count": 0}),
        (Review, {"student_layers": ["layer1", "layer2"], "teacher_layers": ["layer1"]}),
    ],
)
def test_bad_fields_are_refused(cls, fields):
    with pytest.raises(ValidationError):
        cls.from_fields(fields)


def test_factor_transfer_refuses_features_that_are_no_maps(meet, build):
    ctx = meet()

    with pytest.raises(TechniqueError, match=r"feature maps \(C, H, W\).*'2' gives \(64,\)"):
        FactorTransfer(student_layer="2").apply(build("mlp"), ctx)


def test_the_paraphraser_learns_first_from_the_same_epochs_and_the_student_waits(meet):
    ctx, student, seen = meet(epochs=16), network(), []
    fit, before = ctx.fit, copy.deepcopy(student.state_dict())

    def watched(model, loss=None, extra=None, recipe="train", part=(0.0, 1.0)):
        seen.append((model, extra, all(torch.equal(before[n], v) for n, v in student.state_dict().items())))
        return fit(model, loss, extra, recipe, part)

    ctx.fit = watched
    FactorTransfer(paraphraser_fraction=0.5).apply(student, ctx)

    (_, nothing, _), (taught, translator, untouched) = seen
    first, second = ctx.histories
    assert (taught is student, untouched, nothing) == (True, True, None)
    assert (first.epoch_count, second.epoch_count) == (8, 8)
    assert first.terms_by_epoch[0].keys() == {"paraphraser"}
    assert first.terms_by_epoch[-1]["paraphraser"] < 0.7 * first.terms_by_epoch[0]["paraphraser"]
    assert second.terms_by_epoch[0].keys() == {"ce", "factor_transfer"}
    assert not any("paraphraser" in name for name, _ in translator.named_modules())


def test_the_paraphraser_s_validation_score_is_the_teacher_s_on_paraphrased_features(meet):
    ctx = meet()
    batch = next(ctx.train)
    scores = {}

    def fit(model, loss=None, extra=None, recipe="train", part=(0.0, 1.0)):
        if model is not student:
            (scores["new"],) = model.eval()(*batch.inputs)
            model.paraphraser.forward = lambda features: features
            (scores["perfect"],) = model(*batch.inputs)
        return model

    student, ctx.fit = network(), fit
    FactorTransfer().apply(student, ctx)

    answers = ctx.teacher_module(*batch.inputs)
    assert torch.equal(scores["perfect"], answers)
    assert not torch.allclose(scores["new"], answers, atol=0.1)


def test_the_maps_of_correlation_congruence_can_fall_without_any_student():
    """What the docstring warns of: constant features, and only the two maps learn."""
    torch.manual_seed(0)
    maps = Embeddings((16,), (24,), 32)
    mine, its = torch.rand(20, 16), torch.rand(20, 24)
    optimizer = torch.optim.SGD(maps.parameters(), lr=0.02)
    losses = []
    for _ in range(200):
        losses.append(F.correlation_congruence(*maps(mine, its)))
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()

    assert losses[-1] < 0.05 * losses[0]


@pytest.mark.parametrize("trains", [True, False])
def test_the_teacher_s_map_of_correlation_congruence_learns_unless_told_not_to(trains, meet):
    ctx, maps = meet(), []
    fit = ctx.fit

    def watched(model, loss, extra):
        maps.extend([copy.deepcopy(extra), extra])
        return fit(model, loss, extra)

    ctx.fit = watched
    CorrelationCongruence(trains_teacher_embedding=trains).apply(network(), ctx)

    before, after = maps
    assert torch.equal(before.teacher.weight, after.teacher.weight) != trains
    assert not torch.equal(before.student.weight, after.student.weight)


def test_contrastive_refuses_a_training_split_of_one_class(meet):
    ctx = meet()
    ctx.targets = torch.zeros_like(ctx.targets)

    with pytest.raises(TechniqueError, match="needs negatives, but all training examples are of one class"):
        Contrastive().apply(network(), ctx)


def test_a_shuffled_teacher_s_memory_holds_the_neighbours_embeddings(meet):
    def remembered(shuffled: bool) -> torch.Tensor:
        ctx, student = meet(), network()
        memories = []

        def fit(model, loss, extra):
            batch = next(ctx.train)
            extra.of_teacher.momentum = 0.0
            loss(batch, (model(*batch.inputs),))
            memories.append(extra.of_teacher.embeddings)
            return model

        ctx.fit = fit
        Contrastive(shuffled=shuffled).apply(student, ctx)
        return memories[0]

    assert torch.allclose(remembered(shuffled=True), remembered(shuffled=False).roll(1, 0), atol=1e-6)


def test_fusion_agrees_with_torchdistill_at_every_stage():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wrapper = pytest.importorskip("torchdistill.models.wrapper")
    torch.manual_seed(0)
    ours = Fused([4, 6, 10], [5, 7, 9]).double()
    maps = [torch.rand(3, c, side, side, dtype=torch.float64) for c, side in ((4, 8), (6, 4), (10, 1))]

    fused = ours(maps, [one.shape[2:] for one in maps])

    expected, deeper = [], None
    for place in (2, 1, 0):
        theirs = wrapper.AttentionBasedFusion((4, 6, 10)[place], 10, (5, 7, 9)[place], place < 2).double()
        renamed = {"reduce": "conv1", "attention": "attention_conv", "expand": "conv2"}
        state = ours[place].state_dict()
        theirs.load_state_dict({f"{renamed[k.partition('.')[0]]}.{k.partition('.')[2]}": v for k, v in state.items()})
        out, deeper = theirs(maps[place], deeper, maps[place].shape[-1])
        expected.insert(0, out)
    assert all(torch.allclose(x, y, rtol=1e-10) for x, y in zip(fused, expected, strict=True))


def test_fusion_meets_the_teacher_s_size_and_is_never_wider_than_512():
    fusion = Fused([4, 700], [5, 7])
    fused = fusion([torch.rand(2, 4, 8, 8), torch.rand(2, 700, 2, 2)], [(16, 16), (4, 4)])

    assert [tuple(one.shape) for one in fused] == [(2, 5, 16, 16), (2, 7, 4, 4)]
    assert fusion[0].reduce[0].out_channels == fusion[1].reduce[0].out_channels == 512
    assert isinstance(fusion[0], Fusion)
    assert fusion[1].attention is None


def test_review_takes_an_embedding_that_is_a_vector(meet, build):
    ctx = meet()
    fields = {"student_layers": ["2", "4"], "teacher_layers": ["layer3", "pool"]}

    Review.from_fields(fields).apply(build("mlp"), ctx)

    assert ctx.history.terms_by_epoch[-1]["review"] < ctx.history.terms_by_epoch[0]["review"]
