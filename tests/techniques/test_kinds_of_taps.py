"""What a tapped layer gives is what its architecture says; only what is not said is told from the shape."""

import pytest
import torch
from torch import Tensor

from kdbench.models.audio_cnn import AudioCNN
from kdbench.models.audio_lstm import AudioLSTM
from kdbench.models.audio_tcn import AudioTCN
from kdbench.models.encoder import Encoder
from kdbench.protocols import Batch, Input, Layers, Output, SymbolicAxis, TaskDescription
from kdbench.techniques.feature_distillation import TappedDistillation
from kdbench.techniques.features.attention_transfer import AttentionTransfer
from kdbench.techniques.features.neuron_selectivity import NeuronSelectivity
from kdbench.techniques.taps import tapped
from kdbench.techniques.tokens import kind_of, shape_of_each, vectors

SOUND = TaskDescription(
    inputs=(
        Input(name="log_mel", axes=(1, 8, "frames")),
        Input(name="count", axes=(), role="lengths", dtype="int64", covers="frames"),
    ),
    outputs=(Output(axes=(2,), class_names=("a", "b")),),
    axes=(SymbolicAxis(name="frames"),),
    example_counts={},
)
LAYERS = Layers(kinds={"trunk": "map", "trunk.2": "frames", "pool": "vector"})


@pytest.mark.parametrize(
    ("path", "shape", "kind"),
    [
        ("trunk.0", (8, 20), "map"),
        ("trunk.2", (20, 8), "frames"),
        ("trunk.2.norm", (20, 8), "frames"),
        ("trunk.20", (8, 20), "map"),
        ("pool", (8,), "vector"),
        ("other", (20, 8), "tokens"),
        ("other", (8,), "vector"),
        ("other", (3, 8, 8), "map"),
    ],
)
def test_the_longest_path_that_holds_a_layer_says_its_kind(path: str, shape: tuple[int, ...], kind: str) -> None:
    assert kind_of(LAYERS, path, shape) == kind


def test_an_encoder_says_the_kind_of_all_that_techniques_tap() -> None:
    layers = Encoder().layers()
    assert [layers.kind(block.query) for block in layers.blocks] == ["tokens", "tokens"]
    assert layers.kind(layers.embedding) == "vector"
    assert layers.kind(layers.embeddings) == "tokens"


def test_rows_of_a_1d_convolution_stay_a_map_and_no_length_is_cut_from_them() -> None:
    student, teacher = torch.rand(2, 8, 20), torch.rand(2, 8, 20)
    batch = Batch((), (), torch.arange(2), torch.zeros(2))

    def same(taught: Tensor) -> Tensor:
        return taught

    task = None  # of a map nobody asks for lengths
    found = vectors((student, teacher), ("map", "map"), task, batch, same, "places")  # type: ignore[arg-type]
    assert found == (student, teacher)
    assert shape_of_each((8, 20), "map", SOUND, "places") == (8, 20)
    assert shape_of_each((20, 8), "tokens", SOUND, "places") == (8,)


def padded(maps: Tensor, count: int = 4) -> Tensor:
    """The same maps in a batch of longer ones, behind whose ends anything may stand."""
    return torch.cat([maps, torch.full((*maps.shape[:-1], count), 50.0)], -1)


def batch_of(size: int) -> Batch:
    """Two recordings of 12 and 5 frames in a batch of that size."""
    inputs = (torch.zeros(2, 1, 3, size), torch.tensor([12, 5]))
    return Batch(inputs, (), torch.arange(2), torch.zeros(2), {"frames": torch.tensor([12, 5])})


@pytest.mark.parametrize(("bands", "stride"), [((), 1), ((3,), 1), ((3,), 2)])
def test_of_maps_over_time_each_own_frame_is_an_example(bands: tuple[int, ...], stride: int) -> None:
    length, ends = 12 // stride, (12 // stride, -(-5 // stride))
    student, teacher = (torch.rand(2, width, *bands, length) for width in (4, 6))
    kinds, shape = ("time_map", "time_map"), (4, *bands, length)
    found = vectors((student, teacher), kinds, SOUND, batch_of(12), lambda t: t, "places")  # type: ignore[arg-type]
    frames = [one[row, ..., frame] for one in (student,) for row in (0, 1) for frame in range(ends[row])]
    assert shape_of_each(shape, "time_map", SOUND, "places") == tuple(found[0].shape[1:]) == (4, *(bands or (1,)), 1)
    torch.testing.assert_close(found[0].flatten(1), torch.stack(frames).flatten(1))
    assert len(found[1]) == sum(ends)


def test_an_example_counts_by_the_mean_over_its_own_frames() -> None:
    maps = torch.rand(2, 4, 3, 12)
    kinds = ("time_map", "time_map")
    found, _ = vectors((maps, maps), kinds, SOUND, batch_of(12), lambda t: t, "examples")  # type: ignore[arg-type]
    expected = torch.stack([maps[0].mean(-1), maps[1, ..., :5].mean(-1)])
    torch.testing.assert_close(found, expected.flatten(1))


@pytest.mark.parametrize("method", [AttentionTransfer(), NeuronSelectivity()])
def test_methods_on_whole_maps_take_each_without_what_fills_the_batch(method: TappedDistillation) -> None:
    student, teacher = torch.rand(2, 4, 3, 12), torch.rand(2, 4, 3, 12)
    alone = [
        method.term([student[row : row + 1, ..., :end]], [teacher[row : row + 1, ..., :end]], batch_of(12), None)
        for row, end in ((0, 12), (1, 5))
    ]
    for size, pair in ((12, (student, teacher)), (16, (padded(student), padded(teacher)))):
        found = method._term_of_each(SOUND, [pair[0]], [pair[1]], batch_of(size), None)
        torch.testing.assert_close(found, torch.stack(alone).mean())


def test_networks_of_sound_say_what_their_layers_give() -> None:
    task = SOUND.model_copy(update={"outputs": (Output(axes=(2,), class_names=("a", "b")),)})
    some = (torch.rand(2, 1, 8, 12), torch.tensor([12, 5]))
    for model in (AudioCNN(channels=(4, 6)), AudioTCN(width=4), AudioLSTM(width=4)):
        layers, network = model.layers(), model.build(task)
        for path in (*layers.stages, layers.embedding):
            with tapped(network, [path], "student") as taps:
                network(*some)
            steps = {"time_map": taps.features[0].shape[-1], "frames": taps.features[0].shape[1], "vector": 0}
            assert steps[layers.kind(path) or ""] in (12, 6, 3, 0), path
