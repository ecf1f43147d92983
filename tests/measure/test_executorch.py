"""ExecuTorch: what proves a row, what is refused, and, where it is installed, what its programs really answer."""

import importlib.util
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from kdbench import testing
from kdbench.errors import MeasureError
from kdbench.measure.conversion import Wishes
from kdbench.measure.form import Form, Made, Varying
from kdbench.measure.inputs import Inputs
from kdbench.measure.runtimes import executorch as runtime
from kdbench.measure.runtimes import torch as torch_runtime
from kdbench.measure.runtimes.contract import Feed
from kdbench.measure.runtimes.executorch import Executorch, ExecutorchSession
from kdbench.measure.runtimes.executorch_converter import refuse_fixed, refuse_recurrent
from kdbench.measure.runtimes.executorch_kernels import PORTABLE, Call, Event, Kernel, call_of, proof_of
from kdbench.measure.session_spec import SessionSpec
from kdbench.ragged import Ragged

IS_HERE = importlib.util.find_spec("executorch") is not None
NEEDS_EXECUTORCH = pytest.mark.skipif(not IS_HERE, reason="executorch is not installed")
ASKED = "XnnpackBackend"
SPEC = SessionSpec(provider="executorch")
FLOAT = Kernel("Convolution (NHWC, F32) IGEMM", True)
INTEGER = Kernel("Convolution (NHWC, QC8) IGEMM", True)
ROUNDED_IN_EACH_CALL = Kernel("Fully Connected (NC, QDU8, F32, QC8W) GEMM", True)
FLOAT_PRODUCT = Kernel("Fully Connected (NC, F32) GEMM", True)
POOL = Kernel("Max Pooling (NHWC, F32)", True)
LEFT = Kernel("aten::native_layer_norm.out", False)
LEFT_PRODUCT = Kernel("aten::convolution.out", False)


def call(*kernels: Kernel) -> Call:
    return Call(kernels, delegated_ns=300, portable_ns=100)


def test_a_record_gives_the_kernels_of_a_call_and_the_program_the_names_that_it_lacks() -> None:
    events = [
        Event("OPERATOR_CALL", False, 5),
        Event("Convolution (NHWC, F32) IGEMM #1", True, 70),
        Event("Convolution (NHWC, F32) IGEMM #12", True, 80),
        Event("DELEGATE_CALL", False, 200),
        Event("OPERATOR_CALL", False, 40),
        Event("native_call_native_layer_norm.out", False, 38),
        Event("OPERATOR_CALL", False, 3),
        Event("Method::execute", False, 260),
    ]
    operators = ["aten::sym_size.int", "aten::native_layer_norm.out", "executorch_prim::et_view.default"]
    found = call_of(events, operators)
    assert found.kernels == [FLOAT, FLOAT, LEFT]  # a shape that is computed is no kernel
    assert (found.delegated_ns, found.portable_ns) == (200, 48)
    with pytest.raises(MeasureError, match="more operators than the program"):
        call_of(events, operators[:2])


@pytest.mark.parametrize(
    ("kernels", "precision", "share"),
    [
        ([FLOAT, POOL], "fp32", 0.0),
        ([INTEGER, ROUNDED_IN_EACH_CALL], "int8", 1.0),
        ([INTEGER, FLOAT_PRODUCT, FLOAT, FLOAT], "int8+fp32", 0.25),
        ([POOL], "fp32", None),
    ],
)
def test_kernels_that_multiply_prove_the_precision(kernels: list[Kernel], precision: str, share: float | None) -> None:
    proof = proof_of(call(*kernels), ASKED)
    assert (proof["effective_precision"], proof["int8_kernel_fraction"]) == (precision, share)
    assert proof["node_count_by_provider"] == {ASKED: len(kernels)}
    assert proof["kernel_ns_by_provider"] == {ASKED: 300}
    assert proof["execution_note"] is None


def test_what_xnnpack_did_not_take_is_named_with_its_share_of_the_time() -> None:
    proof = proof_of(call(FLOAT, LEFT, LEFT, Kernel("aten::embedding.out", False)), ASKED)
    assert proof["node_count_by_provider"] == {ASKED: 1, PORTABLE: 3}
    assert proof["kernel_ns_by_provider"] == {ASKED: 300, PORTABLE: 100}
    assert proof["execution_note"] == (
        "outside XNNPACK, in ExecuTorch's own kernels: 2 aten::native_layer_norm.out, 1 aten::embedding.out"
    )


def test_a_program_that_mostly_ran_elsewhere_bears_no_name_of_xnnpack() -> None:
    with pytest.raises(MeasureError, match="ran none of the program"):
        proof_of(call(LEFT), ASKED)
    with pytest.raises(MeasureError, match="ran only 1 of the program's 3 convolutions and matrix products"):
        proof_of(call(FLOAT, LEFT_PRODUCT, Kernel("aten::bmm.out", False), POOL, POOL), ASKED)


@pytest.mark.parametrize(
    ("ask", "lacks", "told"),
    [
        ("describe", "executorch", "torch executorch`, or name one that has it in 'python'"),
        ("converter_versions", "torchao", "torch torchao executorch`, or name one that has it in 'converter'"),
    ],
)
def test_where_a_package_is_missing_the_command_that_installs_it_is_told(
    ask: str, lacks: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == lacks else object())
    runtime._bindings.cache_clear()
    told = rf"has no {lacks}; run `\S+ -m pip install numpy {told}"
    with pytest.raises(MeasureError, match=told):
        getattr(Executorch(), ask)()


@dataclass
class Doubling:
    """Stands for a program that gives twice its input: planned for batches up to 4."""

    calls: list[int] = field(default_factory=list)

    def load_method(self, name: str) -> Any:
        return self if name == "forward" else SimpleNamespace(execute=lambda: None, get_outputs=self.names)

    def names(self) -> list[torch.Tensor]:
        return [torch.tensor(list(b'["x"]'), dtype=torch.uint8)]

    def method_meta(self) -> Any:
        info = SimpleNamespace(sizes=lambda: (4, 3))
        return SimpleNamespace(num_inputs=lambda: 1, input_tensor_meta=lambda place: info)

    def call(self, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
        (given,) = inputs
        if bool((given < 0).any()):
            raise RuntimeError("method->execute() failed with error 0x10")
        self.calls.append(len(given))
        return [2 * given]


@pytest.fixture
def doubling(monkeypatch: pytest.MonkeyPatch) -> Doubling:
    program = Doubling()
    bindings = SimpleNamespace(_load_program=lambda path: program, _unsafe_reset_threadpool=lambda count: None)
    monkeypatch.setattr(runtime, "_bindings", lambda: bindings)
    monkeypatch.setattr(runtime, "_threads", [])
    return program


def test_a_batch_beyond_the_bound_is_answered_in_parts_and_never_timed(doubling: Doubling) -> None:
    opened = ExecutorchSession("d.pte", SPEC)
    batch = np.arange(30, dtype=np.float32).reshape(10, 3)
    np.testing.assert_array_equal(opened.run({"x": batch})[0], 2 * batch)
    assert doubling.calls == [4, 4, 2]
    said = r"d.pte was planned for 'x' up to the shape \(4, 3\), and is asked for \(5, 3\)"
    with pytest.raises(MeasureError, match=said):
        opened.bind([{"x": batch[:5]}])


def test_longer_examples_than_planned_and_a_call_that_fails_are_sentences(doubling: Doubling) -> None:
    opened = ExecutorchSession("d.pte", SPEC)
    with pytest.raises(MeasureError, match=r"up to the shape \(4, 3\), and is asked for \(1, 5\)"):
        opened.run({"x": np.zeros((1, 5), np.float32)})
    with pytest.raises(MeasureError, match="does not run on these inputs: method->execute"):
        opened.run({"x": np.full((1, 3), -1, np.float32)})


def test_one_pool_of_threads_serves_a_process(doubling: Doubling) -> None:
    ExecutorchSession("d.pte", SPEC)
    ExecutorchSession("d.pte", SPEC)
    with pytest.raises(MeasureError, match="works with 1 threads in this process, and is asked for 2"):
        ExecutorchSession("d.pte", SessionSpec(provider="executorch", threads_intra=2))


class Net(nn.Module):
    """Convolutions and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(2, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.second, self.last = nn.Conv2d(8, 16, 3, stride=2), nn.Linear(16, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.second(self.norm(self.first(x)).relu()).relu().mean((2, 3), keepdim=True).flatten(1)
        return self.last(x)  # type: ignore[no-any-return]


class Reader(nn.Module):
    """Attention over words of which some are padding: two axes vary."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.query, self.last = nn.Embedding(20, 8), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        ids, mask = inputs
        x = self.words(ids)
        scores = self.query(x) @ x.transpose(1, 2) + (mask[:, None, :].float() - 1) * 1e4
        mixed = (scores.softmax(-1) @ x * mask[:, :, None].float()).sum(1)
        return self.last(mixed)  # type: ignore[no-any-return]


class Averaging(nn.Module):
    """Counts with integers between its layers, as networks of sound do with lengths."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
        halves = ((count + 1) // 2).clamp_min(1)
        return self.last(self.first(x).relu() / halves[:, None])  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Converted:
    """A network and what was made of it."""

    network: nn.Module
    inputs: Inputs
    path: Path

    def opened(self) -> ExecutorchSession:
        return ExecutorchSession(str(self.path), SPEC)

    def expected(self, feed: Feed) -> np.ndarray:
        with torch.inference_mode():
            answer: np.ndarray = self.network(*(torch.from_numpy(array) for array in feed.values())).numpy()
        return answer


def made(
    network: nn.Module,
    inputs: Inputs,
    folder: Path,
    free: tuple[tuple[int, ...], ...] = (),
    longest: dict[str, int] | None = None,
    batch_sizes: tuple[int, ...] = (1, 18),
    **technique: Any,
) -> Converted:
    feed = inputs.padded(np.arange(2))
    source = folder / "net.pt2"
    torch_runtime.save(network, tuple(map(torch.from_numpy, feed.values())), tuple(feed), source, free)
    wishes = Wishes(inputs, batch_sizes, longest or {}, technique)
    return Converted(network, inputs, Executorch().convert(str(source), folder / "net.pte", wishes).path)


@pytest.fixture(scope="module")
def images() -> Inputs:
    pictures = np.random.default_rng(0).normal(size=(40, 2, 8, 8)).astype(np.float32)
    return Inputs({"x": pictures})


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    return Net().eval()


@pytest.fixture(scope="module")
def converted(network: nn.Module, images: Inputs, tmp_path_factory: pytest.TempPathFactory) -> Converted:
    return made(network, images, tmp_path_factory.mktemp("float"))


@NEEDS_EXECUTORCH
@pytest.mark.parametrize("size", [1, 16, 18, 40])
def test_a_program_answers_as_its_network_at_any_batch(converted: Converted, size: int) -> None:
    opened = converted.opened()
    assert opened.bounds == {"x": (18, 2, 8, 8)}  # the largest batch that was asked for, beyond XNNPACK's cap of 15
    feed = converted.inputs.padded(np.arange(size))
    np.testing.assert_allclose(opened.run(feed)[0], converted.expected(feed), rtol=1e-4, atol=1e-5)


@NEEDS_EXECUTORCH
def test_a_call_leaves_its_inputs_as_they_were(converted: Converted) -> None:
    opened = converted.opened()
    feed = converted.inputs.padded(np.arange(3))
    before = feed["x"].copy()
    opened._method.set_inputs(runtime.tensors(feed))
    answers = []
    for _ in range(2):  # planned inputs would be overwritten by the first
        opened._method.execute()
        answers.append(opened._method.get_outputs()[0].numpy())
    np.testing.assert_array_equal(answers[0], answers[1])
    np.testing.assert_array_equal(feed["x"], before)


@NEEDS_EXECUTORCH
def test_bound_calls_keep_each_batchs_answers(converted: Converted) -> None:
    feeds = converted.inputs.feeds(2, 2)
    bound = converted.opened().bind(feeds)
    for number in (1, 0, 1):
        bound.run(number)
    for number, feed in enumerate(feeds):
        np.testing.assert_allclose(bound.outputs(number)[0], converted.expected(feed), rtol=1e-4, atol=1e-5)


@NEEDS_EXECUTORCH
def test_a_float_program_is_proved_to_run_in_xnnpack_alone(converted: Converted) -> None:
    proof = converted.opened().proof(converted.inputs.padded(np.arange(1)))
    assert list(proof["node_count_by_provider"]) == [ASKED]
    assert (proof["effective_precision"], proof["int8_kernel_fraction"]) == ("fp32", 0.0)
    assert proof["execution_note"] is None


@NEEDS_EXECUTORCH
@pytest.mark.parametrize(("activations", "share", "most"), [("static", 1.0, 0.1), ("dynamic", 1 / 3, 0.05)])
def test_quantized_by_xnnpacks_quantizer_it_multiplies_integers(
    network: nn.Module, images: Inputs, tmp_path: Path, activations: str, share: float, most: float
) -> None:
    one = made(network, images, tmp_path, activations=activations, samples=32)
    opened, feed = one.opened(), images.padded(np.arange(16))
    proof = opened.proof(images.padded(np.arange(1)))
    assert proof["int8_kernel_fraction"] == pytest.approx(share)
    expected = one.expected(feed)
    difference = np.abs(opened.run(feed)[0] - expected).max() / np.abs(expected).max()
    assert 0 < difference < most


@NEEDS_EXECUTORCH
def test_what_counts_in_integers_is_not_rounded(tmp_path: Path) -> None:
    torch.manual_seed(0)
    draw = np.random.default_rng(0)
    rows = {"x": draw.normal(size=(32, 6)).astype(np.float32), "count": draw.integers(1, 9, 32)}
    one = made(Averaging().eval(), Inputs(rows), tmp_path, batch_sizes=(1,), activations="static", samples=32)
    opened, feed = one.opened(), one.inputs.padded(np.arange(18))
    assert opened.bounds == {"x": (16, 6), "count": (16,)}  # an example of fewer has XNNPACK cap the batch
    np.testing.assert_allclose(opened.run(feed)[0], one.expected(feed), atol=0.05)


@NEEDS_EXECUTORCH
def test_a_network_of_texts_answers_at_any_length_up_to_the_longest(tmp_path: Path) -> None:
    torch.manual_seed(0)
    draw = np.random.default_rng(0)
    ids = Ragged.of([draw.integers(0, 20, length) for length in (*range(3, 12), 12)])
    form = Form(("ids",), {"ids": Varying("length", padding=0)}, {"mask": Made("mask", "length", "int64")})
    inputs = Inputs({"ids": ids}, form)
    one = made(Reader().eval(), inputs, tmp_path, ((0, 1), (0, 1)), {"length": 12})
    opened = one.opened()
    assert opened.bounds == {"ids": (18, 12), "mask": (18, 12)}
    for rows in (np.arange(1), np.arange(10)):
        feed = inputs.padded(rows)
        np.testing.assert_allclose(opened.run(feed)[0], one.expected(feed), rtol=1e-4, atol=1e-5)
    with pytest.raises(MeasureError, match=r"planned for 'ids' up to the shape \(18, 12\), and is asked for \(1, 13\)"):
        opened.run(inputs.resized(np.arange(1), {"length": 13}))
    proof = opened.proof(inputs.padded(np.arange(1)))
    assert "dim_order_ops::_to_dim_order_copy.out" in proof["execution_note"]
    assert proof["effective_precision"] == "fp32"


def test_a_program_whose_batch_a_pass_has_fixed_is_refused() -> None:
    free, example = ((0,),), (torch.zeros(4, 3),)
    axes = ({0: torch.export.Dim.DYNAMIC},)
    refuse_fixed(torch.export.export(nn.Linear(3, 2), example, dynamic_shapes=axes), free)
    with pytest.raises(MeasureError, match="fixes an axis of this network's inputs"):
        refuse_fixed(torch.export.export(nn.Linear(3, 2), example), free)


def test_a_recurrent_layer_is_refused_where_lengths_vary(tmp_path: Path) -> None:
    torch_runtime.save(nn.GRU(3, 4, batch_first=True), (torch.zeros(2, 5, 3),), ("x",), tmp_path / "gru.pt2")
    program, _ = torch_runtime.load_program(str(tmp_path / "gru.pt2"))
    refuse_recurrent(program, ((0,),))
    with pytest.raises(MeasureError, match="each step of a recurrent layer, and this network's lengths vary"):
        refuse_recurrent(program, ((0, 1),))


@pytest.mark.slow
@NEEDS_EXECUTORCH
def test_it_keeps_the_contract_of_runtimes() -> None:
    testing.check_runtime("executorch")
