"""Heads, units, blocks and rows of a vocabulary are taken out, and the rest answers as the whole with them silent."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from text_context import TASK, WORDS, TextContext, encoder
from torch import nn

from kdbench.errors import TechniqueError
from kdbench.models.encoder import Encoder
from kdbench.protocols.part import PartSpec
from kdbench.stages.torch_models import rebuilt
from kdbench.techniques.pruning._gates import importance, least
from kdbench.techniques.pruning.block_pruning import BlockPruning
from kdbench.techniques.pruning.head_pruning import HeadPruning
from kdbench.techniques.pruning.unit_pruning import UnitPruning
from kdbench.techniques.weights.vocabulary_trimming import VocabularyTrimming

FIELDS = {"width": 16, "heads": 4, "dropout": 0.0}


@pytest.fixture
def ctx(tmp_path: Path) -> TextContext:
    return TextContext(tmp_path, Encoder.from_fields(FIELDS))


def answers(network: nn.Module, ctx: TextContext) -> torch.Tensor:
    with torch.no_grad():
        return network.eval()(*next(ctx.train).inputs)


def same(one: torch.Tensor, other: torch.Tensor) -> None:
    torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def built_again(technique: Any, pruned: nn.Module) -> nn.Module:
    part = PartSpec("model", "encoder", 1, FIELDS)
    return rebuilt(part, [technique], pruned.state_dict(), TASK)


def test_importance_of_heads_is_michels_by_finite_differences(ctx: TextContext) -> None:
    """|dL / dxi| of each example by itself: a head's outputs are multiplied by 1 + e and 1 - e."""
    network, step, count = encoder(seed=0).double(), 1e-4, 3
    batch = ctx.batch(torch.arange(count))
    found = importance(network, {"layers.1.attention.out": 4}, [batch], TASK, count)["layers.1.attention.out"]
    expected = torch.zeros(4, dtype=torch.float64)
    for head in range(4):
        for example in range(count):
            losses = []
            for factor in (1 + step, 1 - step):
                changed = copy.deepcopy(network).eval()
                with torch.no_grad():
                    changed.layers[1].attention.out.weight[:, 4 * head : 4 * head + 4] *= factor
                    one = batch.part(torch.tensor([example]))
                    losses.append(nn.functional.cross_entropy(changed(*one.inputs), one.targets[0]))
            expected[head] += abs(losses[0] - losses[1]) / (2 * step)
    torch.testing.assert_close(found.double(), expected / expected.norm(), atol=1e-5, rtol=1e-3)


def test_the_least_important_go_by_block_or_over_all() -> None:
    scores = {"a": torch.tensor([0.1, 0.9, 0.2, 0.3]), "b": torch.tensor([0.8, 0.5, 0.6, 0.7])}
    assert least(scores, 0.5, overall=False) == {"a": [0, 2], "b": [1, 2]}
    assert least(scores, 0.375, overall=True) == {"a": [0, 2, 3], "b": []}
    assert least(scores, 0.99, overall=True) == {"a": [0, 2, 3], "b": [1, 2, 3]}, "one of each stays"


@pytest.mark.parametrize("criterion", ["gradient", "l2", "random"])
@pytest.mark.parametrize("scope", ["uniform", "global"])
def test_without_heads_it_answers_as_with_silent_ones(criterion: str, scope: str, ctx: TextContext) -> None:
    whole = encoder(seed=0)
    pruning = HeadPruning(criterion=criterion, scope=scope, head_fraction=0.5, finetuned=False)  # type: ignore[arg-type]
    pruned = pruning.apply(copy.deepcopy(whole), ctx)
    silent = copy.deepcopy(whole)
    for number in range(2):
        own, its = pruned.layers[number].attention, silent.layers[number].attention
        kept = {tuple(row) for row in own.query.weight.tolist()}
        gone = [place for place, row in enumerate(its.query.weight.tolist()) if tuple(row) not in kept]
        assert len(gone) % 4 == 0
        with torch.no_grad():
            its.out.weight[:, gone] = 0
    heads = [block.attention.query.out_features // 4 for block in pruned.layers]
    assert sum(heads) == 4
    assert ctx.notes == [f"4 of 8 heads went; the blocks have {heads[0]}, {heads[1]} left."]
    same(answers(pruned, ctx), answers(silent, ctx))
    same(answers(built_again(pruning, pruned), ctx), answers(pruned, ctx))


def test_units_that_count_for_nothing_go_first_and_are_not_missed(ctx: TextContext) -> None:
    whole = encoder(seed=0)
    silent = {0: [1, 5, 9], 1: [0, 2]}
    with torch.no_grad():
        for block, units in silent.items():
            whole.layers[block].narrow.weight[:, units] = 0
    pruning = UnitPruning(unit_fraction=5 / 128, scope="global", finetuned=False)
    pruned = pruning.apply(copy.deepcopy(whole), ctx)
    assert [block.wide.out_features for block in pruned.layers] == [61, 62]
    same(answers(pruned, ctx), answers(whole, ctx))
    same(answers(built_again(pruning, pruned), ctx), answers(pruned, ctx))


def test_nothing_to_remove_is_an_error(ctx: TextContext) -> None:
    with pytest.raises(TechniqueError, match=r"0\.2 of the heads of each block is less than one; raise it"):
        HeadPruning(head_fraction=0.2).apply(encoder(), ctx)
    with pytest.raises(TechniqueError, match="the network has 2 blocks; lower block_count"):
        BlockPruning(block_count=2).apply(encoder(), ctx)
    with pytest.raises(TechniqueError, match=r"keep: the network has no block 'layers\.7'"):
        BlockPruning(keep=("layers.7",)).apply(encoder(), ctx)


@pytest.mark.parametrize(
    ("fields", "stay"),
    [
        ({}, (0, 2)),
        ({"stays": "first"}, (0, 1)),
        ({"stays": "last", "block_count": 3}, (1, 2, 3)),
        ({"keep": ("layers.3", "layers.1")}, (1, 3)),
    ],
)
def test_blocks_that_stay_follow_each_other(fields: dict[str, Any], stay: tuple[int, ...], tmp_path: Path) -> None:
    ctx = TextContext(tmp_path, Encoder.from_fields({**FIELDS, "depth": 4}))
    whole = encoder(seed=0, depth=4)
    pruning = BlockPruning.from_fields({**fields, "finetuned": False})
    pruned = pruning.apply(copy.deepcopy(whole), ctx)
    by_hand = copy.deepcopy(whole)
    by_hand.layers = nn.ModuleList(whole.layers[number] for number in stay)
    same(answers(pruned, ctx), answers(by_hand, ctx))
    part = PartSpec("model", "encoder", 1, {**FIELDS, "depth": 4})
    same(answers(rebuilt(part, [pruning], pruned.state_dict(), TASK), ctx), answers(pruned, ctx))


def test_tokens_that_do_not_occur_go_and_known_texts_are_answered_as_before(ctx: TextContext) -> None:
    ctx.ids = ctx.ids.clamp(max=20)  # 21 to 29 do not occur; 0 is padding
    whole = encoder(seed=0)
    trimming = VocabularyTrimming()
    trimmed = trimming.apply(copy.deepcopy(whole), ctx)
    assert tuple(trimmed.tokens.weight.shape) == (22, 16)
    same(answers(trimmed, ctx), answers(whole, ctx))
    assert ctx.notes == [
        f"9 of {WORDS} tokens went; 0 of the validation split's {int(ctx.lengths.sum())} tokens (0.0%) became unknown."
    ]
    new = (torch.tensor([[25, 26, 3]]), torch.ones(1, 3).long())
    mean = copy.deepcopy(whole)
    with torch.no_grad():
        mean.tokens.weight[21:] = whole.tokens.weight[21:].mean(0)
    same(trimmed(*new), mean.eval()(*new))
    same(built_again(trimming, trimmed).eval()(*new), trimmed(*new))


def test_the_tokenizers_own_unknown_token_stands_for_what_went(ctx: TextContext) -> None:
    ctx.ids = ctx.ids.clamp(max=20)
    ctx.task = TASK.model_copy(update={"settings": {"text": {"unknown": 22}}})
    whole = encoder(seed=0)
    trimmed = VocabularyTrimming().apply(copy.deepcopy(whole), ctx)
    assert tuple(trimmed.tokens.weight.shape) == (22, 16), "0 to 20, and the unknown token"
    mask = torch.ones(1, 3).long()
    same(trimmed.eval()(torch.tensor([[25, 26, 3]]), mask), whole.eval()(torch.tensor([[22, 22, 3]]), mask))
    often = VocabularyTrimming(least_count=100_000).apply(copy.deepcopy(whole), ctx)
    assert len(often.tokens.weight) == 2, "padding and the unknown token"
    ctx.task = TASK
    ctx.ids = torch.arange(64 * 12).view(64, 12) % WORDS * ctx.mask
    with pytest.raises(TechniqueError, match=f"all {WORDS} tokens occur 1 times"):
        VocabularyTrimming().apply(copy.deepcopy(whole), ctx)
