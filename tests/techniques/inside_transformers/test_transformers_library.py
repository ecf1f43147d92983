"""Models of the transformers library: techniques know their blocks, and what is left exports and agrees."""

import copy
import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from text_context import TASK, WORDS, TextContext

from kdbench.models.libraries import Transformers
from kdbench.stages.export import parity, to_onnx
from kdbench.techniques.pruning.block_pruning import BlockPruning
from kdbench.techniques.pruning.head_pruning import HeadPruning
from kdbench.techniques.pruning.unit_pruning import UnitPruning
from kdbench.techniques.transformers.tinybert import TinyBert
from kdbench.techniques.weights.vocabulary_trimming import VocabularyTrimming

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="transformers is not installed"
)
SIZES: dict[str, dict[str, int]] = {
    "Bert": {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 16},
    "DistilBert": {"dim": 16, "n_layers": 2, "n_heads": 4, "hidden_dim": 16},
}


def made(kind: str, folder: Path) -> tuple[Transformers, TextContext]:
    """A checkpoint of that kind, and a context whose teacher it is."""
    import transformers

    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(vocab_size=WORDS, max_position_embeddings=40, **SIZES[kind])
    getattr(transformers, f"{kind}Model")(config).save_pretrained(folder)
    model = Transformers(checkpoint=str(folder))
    ctx = TextContext(folder, model, model, model.build(TASK))  # type: ignore[arg-type]
    return model, ctx


@pytest.mark.parametrize("kind", SIZES)
def test_what_is_left_of_a_pruned_one_is_built_again_and_exports(kind: str, tmp_path: Path) -> None:
    model, ctx = made(kind, tmp_path)
    network: Any = copy.deepcopy(ctx.teacher_module).requires_grad_(True)
    steps = [HeadPruning(finetuned=False), UnitPruning(finetuned=False), BlockPruning(finetuned=False)]
    ctx.ids = ctx.ids.clamp(max=20)
    for technique in (*steps, trimming := VocabularyTrimming()):
        network = technique.apply(network, ctx)
    again = model.build(TASK)
    for technique in (*steps, trimming):
        again = technique.restore(again, network.state_dict(), TASK)
    again.load_state_dict(network.state_dict())
    inputs = next(ctx.train).inputs
    torch.testing.assert_close(again.eval()(*inputs), network.eval()(*inputs))
    to_onnx(network, ctx.example, TASK, tmp_path / "model.onnx", 20)
    assert parity(network, tmp_path / "model.onnx", TASK, inputs) < 1e-5


def test_it_teaches_block_by_block(tmp_path: Path) -> None:
    model, ctx = made("Bert", tmp_path)
    torch.manual_seed(1)
    TinyBert(ce_weight=0).apply(model.build(TASK), ctx)
    assert sum(ctx.terms[-1].values()) < 0.5 * sum(ctx.terms[0].values())
