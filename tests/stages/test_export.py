"""What is exported answers as the network does, and a network that answers by chance is refused."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from kdbench.errors import ExportError
from kdbench.stages.export import check_repeatable


class AlwaysDropping(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        return functional.dropout(inputs, 0.5)  # training=True is its default


def test_dropout_that_is_always_on_is_told_as_what_it_is() -> None:
    with pytest.raises(ExportError, match=r"AlwaysDropping answers the same inputs differently .* functional\.dropout"):
        check_repeatable(AlwaysDropping().eval(), (torch.ones(4, 10),))


def test_dropout_that_evaluation_turns_off_is_none() -> None:
    check_repeatable(nn.Dropout(0.5).eval(), (torch.ones(4, 10),))
