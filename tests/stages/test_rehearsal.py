"""A network that could not be exported or judged is refused before it is trained, and asking leaves no trace."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from kdbench.errors import ModelError
from kdbench.protocols import Batch, TaskDescription
from kdbench.stages.rehearsal import check_network, check_repeatable

TASK = TaskDescription.classification(
    input_names=("x",), input_shapes=((4,),), class_names=("a", "b", "c"), example_counts={"train": 2}
)
PAIR = Batch(
    (torch.ones(2, 4),), (torch.zeros(2, dtype=torch.int64),), torch.arange(2), torch.zeros(2, dtype=torch.int64)
)


class AlwaysDropping(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        return functional.dropout(inputs, 0.5)  # training=True is its default


def test_dropout_that_is_always_on_is_told_as_what_it_is() -> None:
    with pytest.raises(ModelError, match=r"AlwaysDropping answers the same inputs differently .* functional\.dropout"):
        check_repeatable(AlwaysDropping().eval(), (torch.ones(4, 10),))


def test_dropout_that_evaluation_turns_off_is_none() -> None:
    check_repeatable(nn.Dropout(0.5).eval(), (torch.ones(4, 10),))


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (nn.Linear(4, 7), r"Linear gives shape \(2, 7\); a tensor of logits, \(2, 3\), was expected\."),
        (nn.LSTM(4, 3), r"LSTM gives a tuple of 2, and one tensor was expected; return the outputs alone, .*"),
        (
            nn.Sequential(nn.Linear(4, 3), nn.Softmax(1)),
            r"Sequential gives probabilities .*; return what goes into the last softmax\.",
        ),
    ],
)
def test_an_answer_that_is_no_row_of_logits_is_told(network: nn.Module, said: str) -> None:
    with pytest.raises(ModelError, match=f"^{said}$"):
        check_network(network, PAIR, TASK)


def test_a_rehearsal_changes_neither_weights_nor_random_state() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.LazyLinear(5), nn.BatchNorm1d(5), nn.Dropout(0.5), nn.Linear(5, 3))
    state = torch.get_rng_state()
    check_network(network, PAIR, TASK)
    assert torch.equal(torch.get_rng_state(), state)
    assert network.training
    assert isinstance(network[0].weight, nn.UninitializedParameter)
