import logging
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
import torchvision
from pydantic import ValidationError
from safetensors.torch import save_file

from kdbench.errors import ModelError
from kdbench.models.torchvision import Architecture, Torchvision
from kdbench.protocols import TaskDescription

SMALL = "shufflenet_v2_x0_5"


def _task(class_count: int = 10, shape: tuple[int, ...] = (3, 32, 32)) -> TaskDescription:
    classes = tuple(str(number) for number in range(class_count))
    return TaskDescription.classification(
        input_names=("image",), input_shapes=(shape,), class_names=classes, example_counts={}
    )


def _built(weights_file: Path | str | None = None, **task: Any) -> torch.nn.Module:
    model = Torchvision(architecture=SMALL, weights_file=weights_file and str(weights_file))
    network = model.build(_task(**task))
    model.load_pretrained(network)
    return network


def test_every_classification_model_of_torchvision_is_declared_and_no_other() -> None:
    assert list(get_args(Architecture)) == sorted(torchvision.models.list_models(module=torchvision.models))


def test_an_unknown_architecture_is_refused_without_building() -> None:
    with pytest.raises(ValidationError):
        Torchvision.from_fields({"architecture": "resnet19"})


def test_resnet18_at_1000_classes_has_torchvisions_own_parameter_count() -> None:
    model = Torchvision(architecture="resnet18").build(_task(1000, (3, 64, 64)))
    expected = torchvision.models.get_weight("ResNet18_Weights.IMAGENET1K_V1").meta["num_params"]
    assert sum(p.numel() for p in model.parameters()) == expected


@pytest.mark.parametrize(("name", "size"), [("googlenet", 32), ("inception_v3", 75)])
def test_networks_with_auxiliary_classifiers_give_plain_logits_when_training(
    name: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # drawing inception_v3's truncated normal weights takes most of a minute, and no number matters here
    monkeypatch.setattr(torch.nn.init, "trunc_normal_", lambda tensor, **_: tensor.data.zero_())
    model = Torchvision(architecture=name).build(_task(shape=(3, size, size)))
    assert model.training
    assert model(torch.zeros(2, 3, size, size)).shape == (2, 10)


def test_vision_transformers_take_the_tasks_image_size() -> None:
    model = Torchvision(architecture="vit_b_16").build(_task(shape=(3, 32, 32)))
    assert model.get_parameter("encoder.pos_embedding").shape == (1, (32 // 16) ** 2 + 1, 768)


def test_grey_images_are_refused_in_a_sentence() -> None:
    with pytest.raises(
        ModelError, match=rf"^{SMALL} takes images of 3 channels, the task's have 1; use cnn or a resnet"
    ):
        _built(shape=(1, 32, 32))


def test_images_too_small_for_an_architecture_are_refused_in_a_sentence() -> None:
    with pytest.raises(ModelError, match=r"^alexnet cannot take images of 16x16 \(.*\); use another image size\.$"):
        Torchvision(architecture="alexnet").build(_task(shape=(3, 16, 16)))


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_weights_file_of_the_same_classes_is_taken_over_whole(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"weights{suffix}"
    state = _built().state_dict()
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    loaded = _built(path).state_dict()
    assert all(torch.equal(loaded[name], state[name]) for name in state)


def test_a_weights_file_of_other_classes_leaves_the_last_layer_fresh_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "weights.pth"
    state = _built(class_count=7).state_dict()
    torch.save(state, path)
    with caplog.at_level(logging.WARNING):
        loaded = _built(path).state_dict()
    assert torch.equal(loaded["conv1.0.weight"], state["conv1.0.weight"])
    assert loaded["fc.weight"].shape == (10, 1024)
    assert caplog.messages == [f"{path}: fc.bias, fc.weight did not fit the task's outputs and kept fresh weights."]


def test_a_weights_file_of_another_architecture_is_refused_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save(Torchvision(architecture="mobilenet_v2").build(_task()).state_dict(), path)
    with pytest.raises(
        ModelError, match=rf"does not fit {SMALL}: it lacks 'conv1.0.weight'; name its own architecture"
    ):
        _built(path)


def test_a_weights_file_of_other_shapes_is_refused_with_both_shapes(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save(Torchvision(architecture="shufflenet_v2_x1_0").build(_task()).state_dict(), path)
    with pytest.raises(ModelError, match=r"is \(1024, 464, 1, 1\), the model's is \(1024, 192, 1, 1\)"):
        _built(path)


@pytest.mark.parametrize("content", [b"", b"no weights", b"\x80\x02N."])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_that_is_no_state_dict_is_refused_in_a_sentence(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="the weights file"):
        _built(path)


def test_a_missing_weights_file_is_named() -> None:
    with pytest.raises(ModelError, match=r"cannot read the weights file 'nowhere\.pth' \(No such file or directory\)"):
        Torchvision(architecture=SMALL, weights_file="nowhere.pth").identity()
    with pytest.raises(ModelError, match=r"cannot read the weights file 'nowhere\.pth'"):
        _built("nowhere.pth")


def test_a_pickle_that_would_run_code_is_not_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    path = tmp_path / "weights.pth"
    torch.save({"fc.weight": Trap()}, path)
    with pytest.raises(ModelError, match="cannot read the weights file"):
        _built(path)
    assert not (tmp_path / "sprung").exists()


def test_a_weights_file_counts_by_its_content_and_not_by_its_place(tmp_path: Path) -> None:
    for name, content in (("a.pth", b"1"), ("b.pth", b"1"), ("c.pth", b"2")):
        (tmp_path / name).write_bytes(content)
    here, there, other = (
        Torchvision(architecture=SMALL, weights_file=str(tmp_path / name)).identity()
        for name in ("a.pth", "b.pth", "c.pth")
    )
    assert here == there
    assert here != other


@pytest.mark.parametrize(("name", "linear"), [("squeezenet1_1", False), (SMALL, True)])
def test_squeezenets_have_no_fully_connected_layer(name: str, linear: bool) -> None:
    assert Torchvision(architecture=name).has_linear_layers() is linear
