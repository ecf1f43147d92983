"""The encoder: padding says nothing, sizes are those of the formula, and every kind of head is there."""

import pytest
import torch

from kdbench.errors import ModelError
from kdbench.models.encoder import Encoder
from kdbench.protocols import Input, Output, SymbolicAxis, TaskDescription

AXIS = SymbolicAxis(name="length", most=32, lengths={"median": 8, "p95": 20, "longest": 32})
IDS = Input(name="ids", axes=("length",), dtype="int64", values=50)
MASK = Input(name="mask", axes=("length",), dtype="int64", role="mask", covers="length")
CLASSES = Output(axes=(3,), class_names=("a", "b", "c"))
TAGS = Output(name="tags", kind="token_classes", axes=("length", 2), class_names=("in", "out"), ignore=-100)


def text(*outputs: Output, inputs: tuple[Input, ...] = (IDS, MASK)) -> TaskDescription:
    return TaskDescription(inputs=inputs, outputs=outputs or (CLASSES,), axes=(AXIS,), example_counts={})


@pytest.mark.parametrize("pooling", ["first", "mean"])
@pytest.mark.parametrize("norm", ["before", "after"])
def test_padding_changes_no_answer(pooling: str, norm: str) -> None:
    torch.manual_seed(0)
    network = Encoder(pooling=pooling, norm=norm).build(text(CLASSES, TAGS)).eval()  # type: ignore[arg-type]
    ids = torch.randint(50, (2, 9))
    mask = torch.ones_like(ids)
    alone, tags = network(ids, mask)
    padded, padded_tags = network(torch.nn.functional.pad(ids, (0, 7), value=3), torch.nn.functional.pad(mask, (0, 7)))
    torch.testing.assert_close(padded, alone, atol=1e-5, rtol=0)
    torch.testing.assert_close(padded_tags[:, :9], tags, atol=1e-5, rtol=0)
    other, _ = network(ids.flip(1), mask)
    assert not torch.allclose(other, alone, atol=1e-3), "positions count"


def test_parameters_are_those_of_the_published_block() -> None:
    """Vaswani et al. 2017: a layer has 4 d^2 of attention and 2 d d_inner, biases and two norms beside."""
    network = Encoder(width=16, depth=3, heads=4, inner_width=40).build(text())
    layer = 4 * (16 * 16 + 16) + (16 * 40 + 40) + (40 * 16 + 16) + 2 * 2 * 16
    assert sum(p.numel() for p in network.parameters()) == 50 * 16 + 32 * 16 + 3 * layer + 2 * 16 + 16 * 3 + 3


def test_attention_is_torchs_own() -> None:
    torch.manual_seed(0)
    ours = Encoder(width=16, heads=4, depth=1, dropout=0).build(text()).eval().layers[0].attention  # type: ignore
    theirs = torch.nn.MultiheadAttention(16, 4, batch_first=True).eval()
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key.weight, ours.value.weight]))
        theirs.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.key.bias, ours.value.bias]))
        theirs.out_proj.load_state_dict(ours.out.state_dict())
    x, hidden = torch.randn(2, 6, 16), torch.zeros(2, 6, dtype=torch.bool)
    hidden[1, 4:] = True
    added = hidden.float()[:, None, None, :] * -1e4
    expected, _ = theirs(x, x, x, key_padding_mask=hidden)
    torch.testing.assert_close(ours(x, added), expected, atol=1e-5, rtol=1e-5)


def test_what_is_no_text_is_refused() -> None:
    image = TaskDescription.classification(
        input_names=("image",), input_shapes=((1, 8, 8),), class_names=("a", "b"), example_counts={}
    )
    with pytest.raises(ModelError, match="takes ids of varying length and a mask"):
        Encoder().build(image)
    with pytest.raises(ValueError, match="3 heads do not divide"):
        Encoder(heads=3)
    with pytest.raises(ModelError, match="no head for an output of kind sequence"):
        Encoder().build(text(Output(name="words", kind="sequence", axes=("frames", 3))))
