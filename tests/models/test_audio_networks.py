"""Networks of sound: padding says nothing in any of them, and what comes out is as long as the task says."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kdbench.errors import ModelError
from kdbench.measure.runtimes import torch as torch_runtime
from kdbench.measure.runtimes.onnxruntime import OnnxruntimeSession
from kdbench.measure.runtimes.torch import TorchSession
from kdbench.measure.session_spec import SessionSpec
from kdbench.models._audio_lstm import turned
from kdbench.models._sound import MeanOverTime, RaggedNorm2d
from kdbench.models.audio_cnn import AudioCNN
from kdbench.models.audio_lstm import AudioLSTM
from kdbench.models.audio_tcn import AudioTCN
from kdbench.protocols import Input, Model, Output, SymbolicAxis, TaskDescription
from kdbench.stages._recurrent import GRU, LSTM, kept_whole
from kdbench.stages.export import to_onnx

FRAMES = SymbolicAxis(name="frames", lengths={"median": 20, "p95": 40, "longest": 60})
SAMPLES = SymbolicAxis(name="samples", lengths={"median": 2000, "p95": 4000, "longest": 6000})
LOG_MEL = Input(name="log_mel", axes=(1, 12, "frames"))
WAVE = Input(name="samples", axes=(1, "samples"))
DIGIT = Output(name="digit", axes=(3,), class_names=("a", "b", "c"))
SPEAKER = Output(name="speaker", axes=(2,), class_names=("ann", "ben"))


def words(subsampling: int = 4) -> Output:
    names = ("<blank>", "one", "two")
    return Output(
        name="words", kind="sequence", axes=("steps", 3), class_names=names, frames="frames", subsampling=subsampling
    )


def count(axis: str) -> Input:
    return Input(name=f"{axis}_count", axes=(), role="lengths", dtype="int64", covers=axis)


def sounds(*outputs: Output, of: Sequence[Input] = (LOG_MEL, count("frames"))) -> TaskDescription:
    axes = tuple(axis for axis in (FRAMES, SAMPLES) if any(axis.name in one.axes for one in of))
    return TaskDescription(inputs=tuple(of), outputs=outputs or (DIGIT,), axes=axes, example_counts={})


def trained_looking(model: Model, task: TaskDescription) -> nn.Module:
    """A network whose BatchNorm has statistics of its own, in eval mode."""
    torch.manual_seed(0)
    network = model.build(task)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.running_mean = torch.randn_like(layer.running_mean)  # type: ignore[arg-type]
            nn.init.normal_(layer.bias)
    return network.eval()


def answers(network: nn.Module, *inputs: Tensor) -> tuple[Tensor, ...]:
    given = network(*inputs)
    return (given,) if isinstance(given, Tensor) else given


NETWORKS: list[tuple[Model, tuple[Output, ...]]] = [
    (AudioCNN(channels=(4, 8)), (DIGIT, SPEAKER)),
    (AudioLSTM(width=8, depth=2, both_ways=True), (DIGIT,)),
    (AudioLSTM(width=8, both_ways=True), (words(2), SPEAKER)),
    (AudioLSTM(width=8, halved=0), (DIGIT,)),
    (AudioLSTM(cell="gru", width=8, depth=2, both_ways=True), (DIGIT,)),
    (AudioLSTM(cell="gru", width=8), (words(2), SPEAKER)),
    (AudioTCN(width=8), (words(), DIGIT)),
]


@pytest.mark.parametrize(("model", "outputs"), NETWORKS)
@pytest.mark.parametrize("length", [1, 9, 24])
def test_an_example_answers_alone_as_beside_longer_ones(model: Model, outputs: tuple[Output, ...], length: int) -> None:
    """Whatever fills the batch behind its end: here numbers far larger than any sound."""
    network = trained_looking(model, sounds(*outputs))
    example = torch.randn(1, 1, 12, length)
    padded = torch.full((2, 1, 12, 33), 7.0)
    padded[:1, ..., :length] = example
    alone = answers(network, example, torch.tensor([length]))
    beside = answers(network, padded, torch.tensor([length, 33]))
    for output, one, other in zip(outputs, alone, beside, strict=True):
        size = one.shape[1]
        if output.kind == "sequence":
            assert size == -(-length // output.subsampling)
            assert other.shape[1] == -(-33 // output.subsampling)
        torch.testing.assert_close(other[:1, :size], one, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("model", "outputs"), NETWORKS)
def test_while_training_padding_reaches_neither_answers_nor_statistics_nor_gradients(
    model: Model, outputs: tuple[Output, ...]
) -> None:
    lengths = torch.tensor([5, 24, 12])
    narrow = torch.randn(3, 1, 12, 24, dtype=torch.float64)
    wide = nn.functional.pad(narrow, (0, 16), value=9.0)
    for row, length in enumerate(lengths.tolist()):
        wide[row, ..., length:] = 9.0
    left = []
    for pictures in (narrow, wide):
        network = trained_looking(model, sounds(*outputs)).double().train()
        given = answers(network, pictures, lengths)
        ends = [answer[:, :6] if answer.dim() == 3 else answer for answer in given]
        torch.cat([end.flatten() for end in ends]).square().sum().backward()  # type: ignore[no-untyped-call]
        gradients = {f"gradient of {name}": p.grad for name, p in network.named_parameters() if p.grad is not None}
        left.append({**dict(network.named_buffers()), **gradients})
    for name, expected in left[0].items():
        torch.testing.assert_close(left[1][name], expected, msg=lambda told, of=name: f"{of}: {told}")


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_gradients_are_those_of_torchs_own_norm_however_maps_lie(layout: torch.memory_format) -> None:
    x, weights = (torch.randn(3, 4, 5, 9).to(memory_format=layout) for _ in range(2))
    found = [
        torch.autograd.grad((made * weights).sum(), x)[0]
        for norm in (RaggedNorm2d(4), nn.BatchNorm2d(4))
        for made in (norm(x.requires_grad_(), *([torch.full((3,), 9)] if isinstance(norm, RaggedNorm2d) else [])),)
    ]
    torch.testing.assert_close(found[0], found[1])


def test_statistics_are_those_of_torchs_own_norm_over_the_own_frames_alone() -> None:
    x, lengths = torch.randn(3, 4, 5, 9), torch.tensor([9, 2, 6])
    ours, theirs = RaggedNorm2d(4), nn.BatchNorm2d(4)
    rows = torch.cat([x[row, ..., :length] for row, length in enumerate(lengths)], 2)[None]
    found, expected = ours(x, lengths), theirs(rows)
    torch.testing.assert_close(torch.cat([found[r, ..., :n] for r, n in enumerate(lengths)], 2)[None], expected)
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())
    torch.testing.assert_close(ours.eval()(x, lengths), theirs.eval()(x))


def test_samples_are_heard_through_a_learnt_front() -> None:
    network = trained_looking(AudioTCN(width=8), sounds(of=(WAVE, count("samples"))))
    example = torch.randn(1, 1, 1234)
    padded = nn.functional.pad(example, (0, 700), value=3.0)
    torch.testing.assert_close(
        network(padded, torch.tensor([1234])), network(example, torch.tensor([1234])), atol=1e-5, rtol=1e-5
    )
    assert network.front[0].conv.weight.shape == (8, 1, 201)  # type: ignore[index, union-attr]


def test_each_row_is_turned_about_its_own_end() -> None:
    rows = torch.arange(10.0).reshape(2, 5, 1)
    found = turned(rows, torch.tensor([5, 3]))[:, :, 0]
    assert found.tolist() == [[4, 3, 2, 1, 0], [7, 6, 5, 8, 9]]
    assert torch.equal(turned(turned(rows, torch.tensor([5, 3])), torch.tensor([5, 3])), rows)
    assert torch.equal(turned(rows, None), rows.flip(1))


@pytest.mark.parametrize(("cell", "torchs"), [("lstm", nn.LSTM), ("gru", nn.GRU)])
def test_reading_both_ways_is_torchs_own_over_packed_rows(cell: Any, torchs: Any) -> None:
    network = trained_looking(AudioLSTM(cell=cell, width=6, halved=0, both_ways=True), sounds())
    layer: Any = network.layers[0]  # type: ignore[index]
    theirs = torchs(12, 6, batch_first=True, bidirectional=True)
    state = dict(layer.forwards.state_dict())
    state |= {f"{name}_reverse": value for name, value in layer.backwards.state_dict().items()}
    theirs.load_state_dict(state)
    x, lengths = torch.randn(2, 9, 12), torch.tensor([9, 4])
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True)
    expected, _ = nn.utils.rnn.pad_packed_sequence(theirs(packed)[0], batch_first=True)
    found = layer(x, lengths)
    torch.testing.assert_close(found[0], expected[0])
    torch.testing.assert_close(found[1, :4], expected[1, :4])


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_recurrent_network_that_has_run_is_exported_for_every_length(tmp_path: Path, cell: Any) -> None:
    """torch remembers how it ran a recurrent layer, and would write it down for the example's length alone."""
    task = sounds()
    network = trained_looking(AudioLSTM(cell=cell, width=6, both_ways=True), task)
    example = (torch.randn(2, 1, 12, 20), torch.tensor([20, 13]))
    network(*example)
    to_onnx(network, example, task, tmp_path / "m.onnx", 20)
    session = OnnxruntimeSession(str(tmp_path / "m.onnx"), SessionSpec())
    for count, size in ((1, 50), (5, 9), (1, 1)):
        x, lengths = torch.randn(count, 1, 12, size), torch.full((count,), size)
        (found,) = session.run({"log_mel": x.numpy(), "frames_count": lengths.numpy()})
        torch.testing.assert_close(torch.from_numpy(found), network(x, lengths).detach(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_recurrent_network_that_has_run_is_traced_for_every_length(tmp_path: Path, cell: Any) -> None:
    """torch's program would have the example's length behind an LSTM, as a number."""
    network = trained_looking(AudioLSTM(cell=cell, width=6, both_ways=True), sounds())
    example = (torch.randn(2, 1, 12, 20), torch.tensor([20, 13]))
    network(*example)
    with kept_whole(LSTM, GRU):
        torch_runtime.save(network, example, ("log_mel", "frames_count"), tmp_path / "m.pt2", ((0, 3), (0,)))
    session = TorchSession(str(tmp_path / "m.pt2"), SessionSpec("torch"))
    for count, size in ((1, 50), (5, 9)):
        x, lengths = torch.randn(count, 1, 12, size), torch.full((count,), size)
        (found,) = session.run({"log_mel": x.numpy(), "frames_count": lengths.numpy()})
        torch.testing.assert_close(torch.from_numpy(found), network(x, lengths).detach(), atol=1e-5, rtol=0)


def test_the_mean_is_over_real_places() -> None:
    maps = torch.tensor([[[[1.0, 3.0, 100.0]], [[2.0, 4.0, 100.0]]]])
    assert MeanOverTime()(maps, torch.tensor([2])).tolist() == [[2.0, 3.0]]
    assert MeanOverTime()(maps[..., :2]).tolist() == [[2.0, 3.0]]


def test_sizes_are_those_that_were_measured() -> None:
    """The network of 128 channels and four blocks has 438 thousand weights, that of 16 and two has 7.4 thousand."""
    features = Input(name="log_mel", axes=(1, 40, "frames"))
    names = ("<blank>", *map(str, range(10)))
    digits = Output(
        name="words", kind="sequence", axes=("steps", 11), class_names=names, frames="frames", subsampling=4
    )
    task = sounds(digits, of=(features, count("frames")))
    sizes = [
        sum(p.numel() for p in AudioTCN(width=width, dilations=dilations).build(task).parameters())
        for width, dilations in ((128, (1, 2, 4, 8)), (16, (1, 2)))
    ]
    assert [round(size / 1000, 1) for size in sizes] == [438.2, 7.4]


@pytest.mark.parametrize(
    ("model", "task", "said"),
    [
        (AudioCNN(), sounds(of=(WAVE, count("samples"))), "takes log-mel features, and 'samples' is samples"),
        (AudioLSTM(), sounds(of=(LOG_MEL,)), "must be told how long each 'log_mel' is"),
        (AudioTCN(), sounds(of=(LOG_MEL, WAVE)), "takes one sound, and the task has log_mel, samples"),
        (AudioTCN(), sounds(words(3)), "1, 2, 4 or 8 frames, and the task's `subsampling` is 3"),
        (AudioTCN(), sounds(words(1)), "halves time at least once"),
        (AudioLSTM(), sounds(words(2), words(4)), "the outputs ask for [2, 4]"),
        (AudioCNN(), sounds(words()), "of kind sequence, and one answer an example"),
        (AudioCNN(), sounds(of=(Input(name="x", axes=(3, 8, 8)),)), "got 'x' of shape (3, 8, 8)"),
    ],
)
def test_what_cannot_be_heard_is_refused(model: Model, task: TaskDescription, said: str) -> None:
    with pytest.raises(ModelError) as error:
        model.build(task)
    assert said in str(error.value)


def test_an_even_kernel_is_refused() -> None:
    with pytest.raises(ValueError, match="must be odd"):
        AudioTCN(kernel=4)
