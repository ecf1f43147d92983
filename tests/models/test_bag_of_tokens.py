"""A bag of tokens: the mean of embeddings by hand, blind to order but for neighbours, and to padding."""

import pytest
import torch

from kdbench.errors import ModelError
from kdbench.models.bag_of_tokens import BagOfTokens
from kdbench.protocols import Input, Output, SymbolicAxis, TaskDescription
from kdbench.testing import check_model

TASK = TaskDescription(
    inputs=(
        Input(name="ids", axes=("length",), dtype="int64", values=50),
        Input(name="mask", axes=("length",), dtype="int64", role="mask", covers="length"),
    ),
    outputs=(Output(axes=(3,), class_names=("a", "b", "c")),),
    axes=(SymbolicAxis(name="length", lengths={"median": 6, "p95": 9, "longest": 12}),),
    example_counts={},
)


@pytest.mark.parametrize("pairs", [0, 100])
def test_it_is_the_mean_of_embeddings_by_hand_and_padding_says_nothing(pairs: int) -> None:
    torch.manual_seed(0)
    network = BagOfTokens(width=4, pairs=pairs).build(TASK).eval()
    words = [7, 7, 12]
    rows = network.tokens.weight[words].sum(0)
    if pairs:
        places = [(a * 1_000_003 + b) % 100 for a, b in ((0, 7), (7, 7), (7, 12))]
        rows = rows + network.pairs.weight[places].sum(0)
    expected = network.last.weight @ (rows / 3) + network.last.bias
    ids, mask = torch.tensor([[*words, 5, 5]]), torch.tensor([[1, 1, 1, 0, 0]])
    torch.testing.assert_close(network(ids, mask)[0], expected)
    turned = torch.tensor([[12, 7, 7, 5, 5]])
    assert torch.allclose(network(turned, mask), network(ids, mask), atol=1e-6) == (pairs == 0)


def test_it_keeps_the_contract_of_models_and_exports_at_any_length() -> None:
    check_model(BagOfTokens(pairs=64), TASK)


def test_no_text_is_refused() -> None:
    image = TaskDescription.classification(
        input_names=("image",), input_shapes=((1, 8, 8),), class_names=("a", "b"), example_counts={}
    )
    with pytest.raises(ModelError, match="bag_of_tokens takes ids of varying length and a mask"):
        BagOfTokens().build(image)
