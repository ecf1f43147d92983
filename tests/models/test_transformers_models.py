"""Texts' models of transformers from local folders: blocks that are known, weights taken over, and what is refused."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from kdbench.errors import ModelError
from kdbench.models.libraries import Transformers
from kdbench.protocols import Input, Layers, Output, SymbolicAxis, TaskDescription

SIZES = {"vocab_size": 50, "max_position_embeddings": 40}
BERT = {**SIZES, "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 24}
DISTILBERT = {**SIZES, "dim": 16, "n_layers": 3, "n_heads": 2, "hidden_dim": 24}
needed = pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="transformers is not installed")


def text(output: Output | None = None, ids: int = 50, most: int = 30) -> TaskDescription:
    return TaskDescription(
        inputs=(
            Input(name="ids", axes=("length",), dtype="int64", values=ids),
            Input(name="mask", axes=("length",), dtype="int64", role="mask", covers="length"),
        ),
        outputs=(output or Output(axes=(3,), class_names=("a", "b", "c")),),
        axes=(SymbolicAxis(name="length", most=most),),
        example_counts={"train": 10},
    )


def folder(place: Path, kind: str, **config: Any) -> str:
    """A folder with a body of that kind (no classifier) and new weights."""
    import transformers

    torch.manual_seed(0)
    sizes = DISTILBERT if kind == "DistilBert" else BERT
    made = getattr(transformers, f"{kind}Config")(**{**sizes, **config})
    getattr(transformers, f"{kind}Model")(made).save_pretrained(place)
    return str(place)


def test_blocks_are_known_from_the_configuration_alone(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({**BERT, "model_type": "bert"}))
    layers = Transformers(checkpoint=str(tmp_path), blocks=(0, 2)).layers()
    assert [block.path for block in layers.blocks] == ["network.bert.encoder.layer.0", "network.bert.encoder.layer.1"]
    assert layers.blocks[0].head_size == 8
    assert layers.kind(layers.blocks[1].query) == "tokens"
    for name, content in (("other", json.dumps({"model_type": "gpt2"})), ("broken", "{"), ("list", "[]")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(content)
        assert Transformers(checkpoint=str(tmp_path / name)).layers() == Layers()


@needed
@pytest.mark.parametrize("kind", ["Bert", "DistilBert", "Roberta", "Electra"])
def test_what_is_said_of_a_family_is_there(kind: str, tmp_path: Path) -> None:
    model = Transformers(checkpoint=folder(tmp_path, kind))
    network, layers = model.build(text()), model.layers()
    modules = dict(network.named_modules())
    assert len(layers.blocks) == 3
    for block in layers.blocks:
        names = block.model_dump(exclude={"path", "head_size"})
        shapes = {name: tuple(modules[path].weight.shape) for name, path in names.items()}
        assert shapes == {
            **dict.fromkeys(("query", "key", "value", "out"), (16, 16)),
            "wide": (24, 16),
            "narrow": (16, 24),
        }
        assert block.head_size == 8
    assert isinstance(modules[layers.vocabulary], torch.nn.Embedding)
    assert len(modules[layers.vocabulary].weight) == 50
    ids, mask = torch.randint(2, 50, (2, 5)), torch.ones(2, 5).long()
    found: list[torch.Tensor] = []
    hook = modules[layers.blocks[-1].path].register_forward_hook(lambda m, i, output: found.append(output))
    network.eval()(ids, mask)
    hook.remove()
    assert found[0].shape == (2, 5, 16)


@needed
def test_a_training_begins_with_the_checkpoints_blocks_and_a_new_classifier(tmp_path: Path) -> None:
    from transformers import AutoModel

    place = folder(tmp_path, "Bert")
    theirs = AutoModel.from_pretrained(place)
    model = Transformers(checkpoint=place, from_checkpoint=True, blocks=(0, 2), frozen=("network.bert.embeddings",))
    heads = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        network = model.build(text())
        model.load_pretrained(network)
        heads.append(network.network.classifier.weight.detach())
    own = dict(network.network.bert.named_parameters())
    expected = dict(theirs.named_parameters())
    for name, tensor in own.items():
        told = name.replace("encoder.layer.1.", "encoder.layer.2.")
        assert torch.equal(tensor, expected[told]), name
    assert torch.equal(heads[0], heads[1]), "the head depends on the seed alone"
    assert not torch.equal(heads[0], heads[2])
    still = {name for name, p in network.named_parameters() if not p.requires_grad}
    assert still == {name for name, _ in network.named_parameters() if name.startswith("network.bert.embeddings.")}


@needed
def test_values_are_given_in_their_own_unit(tmp_path: Path) -> None:
    values = Output(name="stars", kind="values", axes=(2,), mean=(50.0, -3.0), scale=(0.001, 0.001))
    model = Transformers(checkpoint=folder(tmp_path, "Bert"), from_checkpoint=True)
    network = model.build(text(values))
    model.load_pretrained(network)
    given = network.eval()(torch.randint(2, 50, (4, 5)), torch.ones(4, 5).long())
    torch.testing.assert_close(given, torch.tensor([[50.0, -3.0]] * 4), atol=0.01, rtol=0)


@needed
def test_a_smaller_one_has_new_weights_in_the_sizes_that_are_said(tmp_path: Path) -> None:
    for kind in ("Bert", "DistilBert"):
        model = Transformers(checkpoint=folder(tmp_path / kind, kind), width=8, heads=4, inner_width=12, blocks=(0,))
        modules = dict(model.build(text()).named_modules())
        (block,) = model.layers().blocks
        assert modules[block.query].weight.shape == (8, 8)
        assert modules[block.wide].weight.shape == (12, 8)
        assert block.head_size == 2


@needed
def test_what_a_checkpoint_cannot_be_is_refused(tmp_path: Path) -> None:
    place = folder(tmp_path, "Bert")
    with pytest.raises(ModelError, match=r"tokenizer has 60 tokens and '.*' knows 50; give the task the tokenizer of"):
        Transformers(checkpoint=place).build(text(ids=60))
    with pytest.raises(ModelError, match="takes 40 tokens at most, and the task 64; lower max_length"):
        Transformers(checkpoint=place).build(text(most=64))
    with pytest.raises(ModelError, match="has 3 blocks, 0 to 2, and no 5"):
        Transformers(checkpoint=place, blocks=(0, 5)).build(text())
    with pytest.raises(ModelError, match="3 heads do not divide a width of 16"):
        Transformers(checkpoint=place, heads=3).build(text())
    with pytest.raises(ModelError, match=r"frozen: the network has no layer 'network\.bert\.embedings'\. Did you mean"):
        Transformers(checkpoint=place, frozen=("network.bert.embedings",)).build(text())
    with pytest.raises(ValueError, match="sizes of their own; leave out width, or from_checkpoint"):
        Transformers(checkpoint=place, from_checkpoint=True, width=8)
