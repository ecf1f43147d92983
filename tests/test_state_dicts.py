"""Weights files as training scripts leave them, and what is said of those that cannot be used."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from kdbench.errors import ModelError
from kdbench.state_dicts import first_line, load_exactly, read_state


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))


def prefixed(*prefixes: str) -> dict[str, torch.Tensor]:
    return {"".join((*prefixes, name)): tensor for name, tensor in network().state_dict().items()}


@pytest.mark.parametrize(
    "checkpoint",
    [
        prefixed(),
        {"state_dict": prefixed(), "epoch": 3},
        {"model_state_dict": prefixed(), "optimizer_state_dict": {}},
        {"net": prefixed("module."), "acc": 93.1},
        {"checkpoint": 1, "model": {"state_dict": prefixed()}},
        prefixed("module."),
        prefixed("_orig_mod."),
        prefixed("_orig_mod.", "module."),
        {"state_dict": prefixed("model.")},
    ],
)
def test_a_state_dict_is_found_under_the_usual_wrappings(checkpoint, tmp_path):
    torch.save(checkpoint, tmp_path / "w.pt")
    loaded = network()

    load_exactly(loaded, tmp_path / "w.pt", "mlp")

    first = next(iter(read_state(tmp_path / "w.pt").values()))
    assert torch.equal(loaded.state_dict()["0.weight"], first)


class Other:
    """What a checkpoint should not hold."""


@pytest.mark.parametrize(
    ("held", "sentence"),
    [
        ({"optimizer": {}, "epoch": 3}, "it holds 'optimizer', 'epoch'; save model.state_dict()."),
        (torch.ones(3), "holds a Tensor and no state dict"),
        (network(), r"it holds an object \(torch.nn.modules.container.Sequential\) beside tensors"),
        ({"state_dict": prefixed(), "config": Other()}, r"it holds an object \(\S*Other\) beside tensors"),
        ({f"{name}x": tensor for name, tensor in prefixed().items()}, "does not fit mlp: it lacks '0.weight'"),
    ],
)
def test_what_is_no_state_dict_is_said_in_one_sentence_without_torchs_advice(held, sentence, tmp_path):
    torch.save(held, tmp_path / "w.pt")

    with pytest.raises(ModelError, match=sentence) as error:
        load_exactly(network(), tmp_path / "w.pt", "mlp")

    assert "\n" not in str(error.value)
    assert "weights_only" not in str(error.value)
    assert "\x1b" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("w.pt", b"hello world", "it is torn, or no file that torch.save wrote"),
        ("w.pt", b"", "it is torn, or no file that torch.save wrote"),
        ("w.safetensors", b"\x08\0\0\0\0\0\0\0{", "cannot read the weights file"),
        ("absent.pt", None, r"cannot read the weights file .*: No such file or directory\.$"),
    ],
)
def test_a_file_of_another_kind_is_refused_with_its_path(name, content, sentence, tmp_path):
    if content is not None:
        (tmp_path / name).write_bytes(content)

    with pytest.raises(ModelError, match=sentence) as error:
        read_state(tmp_path / name)

    assert str(tmp_path / name) in str(error.value)


def test_safetensors_are_read_too(tmp_path):
    save_file(prefixed("module."), tmp_path / "w.safetensors")

    load_exactly(network(), tmp_path / "w.safetensors", "mlp")


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("one.\ntwo", "one"),
        ("\x1b[31mred\x1b[0m text", "red text"),
        ("\n  \n after blanks:", "after blanks"),
        ("", "ValueError"),
    ],
)
def test_the_first_line_of_a_message_says_something_and_has_no_colours(message, line):
    assert first_line(ValueError(message)) == line


def test_everything_that_does_not_fit_is_listed_by_name_and_shape(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(3, 2), "scale": torch.zeros(1)}, tmp_path / "net.pt")
    with pytest.raises(ModelError) as raised:
        load_exactly(nn.Linear(4, 3), tmp_path / "net.pt", "net")
    told = str(raised.value)
    assert "'weight' is (3, 2), the model's is (3, 4)" in told
    assert "it lacks 'bias'" in told
    assert "it has 'scale', which the model has not" in told


def test_an_averaged_model_is_taken_where_there_is_no_other(tmp_path: Path) -> None:
    ours, averaged = nn.Linear(2, 1).state_dict(), nn.Linear(2, 1).state_dict()
    torch.save({"ema": averaged, "step": 3}, tmp_path / "ema.pt")
    torch.save({"model": ours, "ema": averaged}, tmp_path / "both.pt")
    assert torch.equal(read_state(tmp_path / "ema.pt")["weight"], averaged["weight"])
    assert torch.equal(read_state(tmp_path / "both.pt")["weight"], ours["weight"])


def test_counters_that_old_torch_did_not_keep_are_no_misfit(tmp_path: Path) -> None:
    state = nn.BatchNorm1d(2).state_dict()
    state.pop("num_batches_tracked")
    torch.save(state, tmp_path / "norm.pt")
    load_exactly(nn.BatchNorm1d(2), tmp_path / "norm.pt", "norm")
