"""Distillation inside transformers: what is tapped, which blocks are matched, what it teaches, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
from text_context import COUNT, TextContext, encoder

from kdbench import functional as F
from kdbench import registry
from kdbench.errors import SuiteError, TechniqueError
from kdbench.models.encoder import Encoder
from kdbench.suite.reader import load
from kdbench.techniques.transformer_distillation import TransformerDistillation, pairs

NAMES = ("tinybert", "minilm", "minilm2", "patient", "distilbert")


def technique(name: str, **fields: Any) -> TransformerDistillation:
    found: TransformerDistillation = registry.resolve("technique", name).from_fields(fields)
    return found


def context(tmp_path: Path, student: dict[str, Any], teacher: dict[str, Any]) -> TextContext:
    fields = {"width": 16, "heads": 4, "dropout": 0.0}
    declared = [Encoder.from_fields({**fields, **one}) for one in (student, teacher)]
    return TextContext(tmp_path, *declared, encoder(seed=1, **teacher))


def value(found: TransformerDistillation, ctx: TextContext, index: torch.Tensor, **student: Any) -> dict[str, float]:
    """The terms, unweighted, of a new student on some examples."""
    network, batch = encoder(seed=2, **student), ctx.batch(index)
    torch.manual_seed(0)
    with found.terms(network, ctx) as (_, loss):
        return {name: float(term.detach()) for name, term in loss(batch, (network(*batch.inputs),)).items()}


def test_layer_maps_are_those_of_the_papers() -> None:
    assert [t + 1 for _, t in pairs("uniform", 4, 12)] == [3, 6, 9, 12], "TinyBERT, section 4.2"
    assert [t + 1 for _, t in pairs("skip", 6, 12)] == [2, 4, 6, 8, 10], "PKD-Skip, section 3.2"
    assert [t + 1 for _, t in technique("patient", layer_map="last").matched_blocks(6, 12)] == [7, 8, 9, 10, 11]
    assert pairs("first", 3, 6) == [(0, 0), (1, 1), (2, 2)]
    assert pairs("last", 3, 6) == [(0, 3), (1, 4), (2, 5)]
    assert pairs("uniform", 2, 3) == [(0, 1), (1, 2)]


def test_attention_is_that_of_the_network(tmp_path: Path) -> None:
    """The teacher's attention of a sentence, computed from its weights by hand, gives the term."""
    ctx = context(tmp_path, {"depth": 1}, {"depth": 1})
    student, teacher = encoder(seed=2, depth=1), ctx.teacher_module
    (first,) = torch.tensor([3])[:, None]
    ids, mask = ctx.batch(first).inputs
    scores = []
    for network in (student, teacher):
        x = network.layers[0].norm1(network.tokens(ids) + network.positions.weight[: ids.shape[1]])
        attention = network.layers[0].attention
        query, key = (layer(x).view(1, -1, 4, 4).transpose(1, 2) for layer in (attention.query, attention.key))
        scores.append(query @ key.transpose(2, 3) / 2)
    expected = F.attention_divergence(*scores, mask.bool())
    got = value(technique("minilm", value_weight=0), ctx, first, depth=1)
    assert got == {"attention": pytest.approx(float(expected.detach()), rel=1e-5)}


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_with_padding_says_what_its_sentences_say(name: str, tmp_path: Path) -> None:
    """Per sentence terms are the mean over sentences; per token terms the mean over tokens."""
    ctx = context(tmp_path, {"depth": 2}, {"depth": 3})
    found = technique(name, **({"soft_weight": 0} if name != "minilm2" else {}))
    chosen = torch.arange(6)
    assert len(set(ctx.lengths[chosen].tolist())) > 2
    together = value(found, ctx, chosen)
    alone = [value(found, ctx, index[None]) for index in chosen]
    tokens = ctx.lengths[chosen].double()
    for term, got in together.items():
        per_token = term in ("hidden", "embeddings", "distilbert")
        weights = tokens / tokens.sum() if per_token else torch.full((6,), 1 / 6).double()
        assert got == pytest.approx(sum(float(w) * one[term] for w, one in zip(weights, alone, strict=True)), rel=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_the_student_comes_nearer_than_by_another_sentences_teacher(name: str, tmp_path: Path) -> None:
    ctx = context(tmp_path, {"depth": 2}, {"depth": 4})
    fields = {"ce_weight": 0.0, **({"soft_weight": 0.0} if name in ("patient", "distilbert") else {})}
    own = technique(name, **fields)
    own.apply(encoder(seed=2), ctx)
    terms = [sum(epoch.values()) for epoch in ctx.terms]
    assert terms[-1] < 0.7 * terms[0]
    technique(name, **fields, shuffled=True).apply(encoder(seed=2), ctx)
    assert terms[-1] < 0.9 * sum(ctx.terms[-1].values())


def test_without_the_methods_weight_it_is_training_on_labels(tmp_path: Path) -> None:
    ctx = context(tmp_path, {}, {"depth": 4})
    ours, theirs = encoder(seed=2), encoder(seed=2)
    torch.manual_seed(5)
    technique("tinybert", kd_weight=0).apply(ours, ctx)
    torch.manual_seed(5)
    ctx.fit(theirs)
    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor, theirs.state_dict()[name]), name


def test_blocks_by_name_are_the_ones_that_are_matched(tmp_path: Path) -> None:
    ctx = context(tmp_path, {}, {"depth": 4})
    index = torch.arange(COUNT)
    fields = {"hidden_weight": 0, "embedding_weight": 0}
    ruled = value(technique("tinybert", **fields), ctx, index)
    named = {"student_layers": ["layers.0", "layers.1"], "teacher_layers": ["layers.1", "layers.3"]}
    assert value(technique("tinybert", **fields, **named), ctx, index) == ruled
    other = {**named, "teacher_layers": ["layers.0", "layers.3"]}
    assert value(technique("tinybert", **fields, **other), ctx, index) != ruled


@pytest.mark.parametrize(
    ("name", "fields", "student", "said"),
    [
        ("tinybert", {}, {"heads": 2}, "2 heads and the teacher 4, .*say `heads: mean`, or use minilm2"),
        ("minilm", {}, {"heads": 2}, "2 heads and the teacher 4, and minilm matches head by head; use minilm2"),
        ("minilm2", {"relation_heads": 3}, {}, "relation_heads 3 does not divide the student's width of 16"),
        ("minilm2", {"teacher_block": 4}, {}, "teacher_block 4: the teacher has 4 blocks"),
        ("patient", {}, {"width": 8}, "hidden states have 8 numbers and the teacher's 16, .*use tinybert"),
        ("distilbert", {}, {"width": 8}, "hidden states have 8 numbers and the teacher's 16, .*use tinybert"),
        ("patient", {}, {"depth": 1}, "leaves the top block out, and the student has no other"),
        ("tinybert", {}, {"depth": 5}, "the student has 5 blocks and the teacher 4; name the pairs"),
        (
            "tinybert",
            {"student_layers": ["layers.2"], "teacher_layers": ["layers.0"]},
            {},
            r"the student has no block 'layers\.2'\. Did you mean 'layers\.[01]'",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused_with_a_remedy(
    name: str, fields: dict[str, Any], student: dict[str, Any], said: str, tmp_path: Path
) -> None:
    ctx = context(tmp_path, student, {"depth": 4})
    with pytest.raises(TechniqueError, match=said):
        value(technique(name, **fields), ctx, torch.arange(4), **student)


def test_fields_that_say_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="are all 0, so there is nothing to match"):
        technique("tinybert", hidden_weight=0, attention_weight=0, embedding_weight=0)
    with pytest.raises(ValueError, match="come together"):
        technique("minilm", student_layers=["layers.0"])
    with pytest.raises(ValueError, match="names 1 layers, teacher_layers 2"):
        technique("minilm", student_layers=["a"], teacher_layers=["a", "b"])


def test_a_network_without_blocks_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(
        "kdbench: 1\nname: s\ntask: digits\nrecipes: {train: {epochs: 1}}\nteacher: {model: cnn, recipe: train}\n"
        "student: {model: cnn, recipe: train}\ncases: {from-scratch: [], a: [minilm]}\nmeasure: [{provider: cpu}]\n"
    )
    with pytest.raises(SuiteError, match=r"s\.yaml:7: cases\.a\.0: minilm works inside transformers, and the student"):
        load(tmp_path / "s.yaml")
