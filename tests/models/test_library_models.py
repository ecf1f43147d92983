"""Models of timm and transformers: loaded from small local checkpoints, or refused with the extra to install."""

import importlib.util
from pathlib import Path

import pytest
import torch

from kdbench.errors import ModelError, SuiteError
from kdbench.models.libraries import Timm, Transformers
from kdbench.protocols import Input, Output, SymbolicAxis, TaskDescription
from kdbench.suite.reader import load

SUITE = """
kdbench: 1
name: mine
task: digits
student: {model: %s, weights: pretrained}
cases: {half: [half_precision]}
measure: [{provider: cpu}]
"""
needs_timm = pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="timm is not installed")
needs_transformers = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="transformers is not installed"
)


def images(class_count: int = 5) -> TaskDescription:
    return TaskDescription.classification(
        input_names=("image",), input_shapes=((3, 32, 32),), class_names=tuple("abcdefg"[:class_count]),
        example_counts={"train": 10},
    )  # fmt: skip


@pytest.mark.parametrize("library", ["timm", "transformers"])
def test_a_library_that_is_missing_is_said_with_its_extra(
    library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    model = {"timm": "{timm: {architecture: resnet18}}", "transformers": "{transformers: {checkpoint: x}}"}[library]
    (tmp_path / "s.yaml").write_text(SUITE % model)
    with pytest.raises(SuiteError, match=rf"{library} is not installed; type: pip install 'kdbench\[{library}\]'"):
        load(tmp_path / "s.yaml")


@needs_timm
def test_a_folder_that_timm_saved_gives_its_network(tmp_path: Path) -> None:
    import timm
    from timm.models import save_for_hf

    torch.manual_seed(0)
    theirs = timm.create_model("resnet10t", num_classes=5).eval()
    save_for_hf(theirs, tmp_path, model_config={"num_classes": 5}, safe_serialization=True)
    model = Timm(architecture=str(tmp_path))
    network = model.build(images())
    model.load_published(network, "pretrained")
    inputs = torch.rand(2, 3, 32, 32)
    assert torch.equal(network.eval()(inputs), theirs(inputs))
    with pytest.raises(ModelError, match=r"does not fit .*: 'fc\.weight' is \(5, 512\), the model's is \(7, 512\)"):
        model.load_published(model.build(images(7)), "pretrained")


@needs_transformers
def test_a_folder_of_an_image_classifier_gives_its_network(tmp_path: Path) -> None:
    from transformers import ViTConfig, ViTForImageClassification

    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    theirs = ViTForImageClassification(ViTConfig(image_size=32, patch_size=8, num_labels=5, **sizes)).eval()
    theirs.save_pretrained(tmp_path)
    model = Transformers(checkpoint=str(tmp_path))
    network = model.build(images())
    model.load_published(network, "pretrained")
    inputs = torch.rand(2, 3, 32, 32)
    assert torch.allclose(network.eval()(inputs), theirs(inputs).logits, atol=1e-6)


@needs_transformers
def test_a_folder_of_a_text_classifier_takes_ids_and_a_mask(tmp_path: Path) -> None:
    from transformers import BertConfig, BertForSequenceClassification, BertModel

    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = BertConfig(vocab_size=50, num_labels=3, **sizes)
    theirs = BertForSequenceClassification(config).eval()
    theirs.save_pretrained(tmp_path / "whole")
    task = TaskDescription(
        inputs=(Input(name="ids", axes=("length",), dtype="int64", values=50),
                Input(name="mask", axes=("length",), dtype="int64", role="mask", covers="length")),
        outputs=(Output(kind="classes", axes=(3,), class_names=("a", "b", "c")),),
        axes=(SymbolicAxis(name="length"),),
        example_counts={"train": 10},
    )  # fmt: skip
    model = Transformers(checkpoint=str(tmp_path / "whole"))
    network = model.build(task)
    model.load_published(network, "pretrained")
    ids, mask = torch.randint(0, 50, (2, 7)), torch.ones(2, 7, dtype=torch.int64)
    expected = theirs(input_ids=ids, attention_mask=mask).logits
    assert torch.allclose(network.eval()(ids, mask), expected, atol=1e-6)
    named = BertConfig(vocab_size=50, id2label={0: "B", 1: "C", 2: "A"}, **sizes)
    other = BertForSequenceClassification(named)
    other.load_state_dict(theirs.state_dict())
    other.save_pretrained(tmp_path / "ordered")
    ordered = Transformers(checkpoint=str(tmp_path / "ordered"))
    network = ordered.build(task)
    ordered.load_published(network, "pretrained")
    assert torch.allclose(network.eval()(ids, mask), expected[:, [2, 0, 1]], atol=1e-6)  # a, b, c as the task has them
    BertModel(config).save_pretrained(tmp_path / "body")
    headless = Transformers(checkpoint=str(tmp_path / "body"))
    with pytest.raises(ModelError, match=r"has no trained classifier for this task: it lacks classifier\.bias"):
        headless.load_published(headless.build(task), "pretrained")
