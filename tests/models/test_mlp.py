import pytest
import torch

from kdbench.errors import ModelError
from kdbench.models.mlp import MLP
from kdbench.protocols import TaskDescription


def _task(*shapes: tuple[int, ...]) -> TaskDescription:
    names = tuple(f"input{number}" for number in range(len(shapes)))
    return TaskDescription.classification(
        input_names=names, input_shapes=shapes, class_names=tuple("0123456789"), example_counts={}
    )


def test_three_hidden_layers_of_256_have_the_parameters_counted_by_hand() -> None:
    model = MLP(depth=3, width=256).build(_task((1, 8, 8)))
    assert sum(p.numel() for p in model.parameters()) == (64 + 1) * 256 + 2 * (256 + 1) * 256 + (256 + 1) * 10


def test_it_flattens_whatever_single_input_there_is() -> None:
    model = MLP(depth=1, width=4).build(_task((7, 3)))
    assert model(torch.zeros(5, 7, 3)).shape == (5, 10)


def test_its_layers_can_be_tapped_by_name() -> None:
    names = dict(MLP(depth=2, width=4).build(_task((6,))).named_children())
    assert [name for name in names if name.startswith("layer")] == ["layer1", "layer2"]
    assert "classifier" in names


def test_a_task_with_two_inputs_is_refused_in_a_sentence() -> None:
    with pytest.raises(
        ModelError, match=r"mlp takes one input, the task has 2 \(input0, input1\); use another model\."
    ):
        MLP().build(_task((4,), (4,)))
