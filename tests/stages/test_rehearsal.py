"""A network that could not be exported or judged is refused before it is trained, and asking leaves no trace."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from kdbench.errors import ModelError
from kdbench.protocols import Batch, Input, Output, SymbolicAxis, TaskDescription
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


class Every(nn.Module):
    """A step of a sequence for every `stride` frames."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(4, 3, 1, stride)

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        steps: Tensor = self.conv(frames)
        return steps.transpose(1, 2)


def test_a_network_with_another_rate_of_steps_is_refused() -> None:
    """9 frames are 5 steps at a subsampling of 2, as every second of them is."""
    words = Output(
        name="words", kind="sequence", axes=("steps", 3), class_names=("-", "a", "b"), frames="frames", subsampling=2
    )
    count = Input(name="count", axes=(), role="lengths", dtype="int64", covers="frames")
    task = TaskDescription(
        inputs=(Input(name="sound", axes=(4, "frames")), count),
        outputs=(words,),
        axes=(SymbolicAxis(name="frames"),),
        example_counts={},
    )
    lengths, index = torch.tensor([9, 6]), torch.arange(2)
    batch = Batch((torch.randn(2, 4, 9), lengths), (torch.ones(2, 2),), index, index, {"frames": lengths})
    check_network(Every(2), batch, task)
    with pytest.raises(ModelError, match="Every gives 3 steps of 'words' for 9 frames, and 5 were expected"):
        check_network(Every(4), batch, task)
