"""8 bits inside a transformer's file: embeddings, layers left out by name, and attention that the mask ruins."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from text_context import TASK, WORDS, TextContext, encoder

from kdbench.errors import TechniqueError
from kdbench.measure.runtimes.onnxruntime import OnnxruntimeSession
from kdbench.measure.session_spec import SessionSpec
from kdbench.models.encoder import Encoder
from kdbench.stages.export import to_onnx, write_file
from kdbench.techniques.quantization._fake_quantized import RANGES, fake_quantized, watch
from kdbench.techniques.quantization.dynamic_quantization import DynamicQuantization
from kdbench.techniques.quantization.quantization_aware_training import QuantizationAwareTraining
from kdbench.techniques.quantization.static_quantization import StaticQuantization


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an encoder that was trained to tell its texts' first word."""
    folder = tmp_path_factory.mktemp("exported")
    ctx = TextContext(folder, Encoder())
    network = ctx.fit(encoder(seed=0))
    to_onnx(network, ctx.example, TASK, folder / "float.onnx", 20)
    return folder / "float.onnx"


@pytest.fixture
def ctx(tmp_path: Path) -> TextContext:
    return TextContext(tmp_path, Encoder())


def types(path: Path) -> dict[str, int]:
    return {tensor.name: tensor.data_type for tensor in onnx.load(path).graph.initializer if len(tensor.dims) > 1}


def answers(path: Path, ctx: TextContext) -> np.ndarray:
    """The answers to all texts in one batch, much of which is padding."""
    feed = {"ids": ctx.ids.numpy(), "mask": ctx.mask.numpy()}
    return OnnxruntimeSession(str(path), SessionSpec()).run_checked(feed)[0]


def closeness(path: Path, source: Path, ctx: TextContext) -> float:
    """Correlation of two files' differences of logits."""
    both = [answers(one, ctx) @ np.array([1.0, -1.0]) for one in (path, source)]
    return float(np.corrcoef(both)[0, 1])


def quantized_products(path: Path) -> int:
    return sum(node.op_type in ("MatMulInteger", "DynamicQuantizeLinear") for node in onnx.load(path).graph.node)


def test_embeddings_become_bytes_where_they_are_asked_for(source: Path, ctx: TextContext) -> None:
    plain = types(DynamicQuantization().apply(source, ctx))
    assert plain["tokens.weight"] == onnx.TensorProto.FLOAT
    result = DynamicQuantization(embeddings=True).apply(source, ctx)
    model = onnx.load(result)
    words = [tensor for tensor in model.graph.initializer if list(tensor.dims) == [WORDS, 16]]
    assert [tensor.data_type for tensor in words] in ([onnx.TensorProto.INT8], [onnx.TensorProto.UINT8])
    assert closeness(result, source, ctx) > 0.98


def test_a_block_that_is_excluded_stays_float_with_all_its_products(source: Path, ctx: TextContext) -> None:
    """A linear layer of three axes is exported as a product with a constant of no name: it is named after the layer."""
    whole = quantized_products(DynamicQuantization().apply(source, ctx))
    found = onnx.load(DynamicQuantization(exclude=("layers.0",)).apply(source, ctx))
    floats = {
        node.input[1] for node in found.graph.node if node.op_type == "MatMul" and node.input[1].startswith("layers.")
    }
    modules = ("attention.query", "attention.key", "attention.value", "attention.out", "wide", "narrow")
    assert floats == {f"layers.0.{name}.weight" for name in modules}
    assert quantized_products(ctx.out / "model.onnx") < whole
    with pytest.raises(TechniqueError, match=r"exclude: the file has no layer and no node 'layers\.9'"):
        DynamicQuantization(exclude=("layers.9",)).apply(source, ctx)
    with pytest.raises(TechniqueError, match=r"nothing was quantized: .*exclude less"):
        DynamicQuantization(exclude=("layers", "heads")).apply(source, ctx)


def test_attention_that_the_mask_ruins_is_said_with_the_remedy_which_helps(source: Path, ctx: TextContext) -> None:
    ruined = closeness(StaticQuantization(samples=48).apply(source, ctx), source, ctx)
    assert len(ctx.notes) == 1
    assert "Attention is lost in 2 of the file's softmaxes" in ctx.notes[0]
    assert "Say `operators: [MatMul, Gemm, Gather]`, or use dynamic_quantization." in ctx.notes[0]
    ctx.notes.clear()
    mended = StaticQuantization(samples=48, operators=("MatMul", "Gemm", "Gather")).apply(source, ctx)
    assert ctx.notes == []
    assert 1 - closeness(mended, source, ctx) < 0.3 * (1 - ruined)
    assert onnx.TensorProto.FLOAT not in {kind for name, kind in types(mended).items() if "quantized" in name}
    kinds = {node.op_type for node in onnx.load(mended).graph.node}
    assert {"Softmax", "QuantizeLinear"} <= kinds


@pytest.mark.parametrize("method", ["entropy", "percentile"])
def test_histograms_take_samples_of_unequal_length(method: str, source: Path, ctx: TextContext) -> None:
    fields: dict[str, Any] = {"method": method, "samples": 16, "operators": ["MatMul", "Gemm", "Gather"]}
    result = StaticQuantization.from_fields(fields).apply(source, ctx)
    assert closeness(result, source, ctx) > 0.9


def test_an_operator_that_nobody_knows_is_refused(source: Path, ctx: TextContext) -> None:
    with pytest.raises(TechniqueError, match=r"operators: the quantizer knows no 'Matmul'\. Did you mean 'MatMul'\?"):
        StaticQuantization(operators=("Matmul",)).apply(source, ctx)


def test_an_encoder_that_trains_in_8_bits_answers_as_its_file_at_every_length(ctx: TextContext) -> None:
    network = QuantizationAwareTraining(samples=32).apply(ctx.fit(encoder(seed=0)), ctx)
    path = ctx.out / "int8.onnx"
    write_file(network, [QuantizationAwareTraining()], ctx.example, TASK, path, 20)

    with torch.no_grad():
        padded = network.eval()(ctx.ids, ctx.mask).numpy()
        short = network(ctx.ids[:1, :4], ctx.mask[:1, :4]).numpy()
    feed = {"ids": ctx.ids[:1, :4].numpy(), "mask": ctx.mask[:1, :4].numpy()}
    one_step = 0.05 * np.abs(padded).max()
    assert np.abs(answers(path, ctx) - padded).max() < one_step
    assert np.abs(OnnxruntimeSession(str(path), SessionSpec()).run_checked(feed)[0] - short).max() < one_step
    assert (padded.argmax(1) == ctx.targets.numpy()).mean() > 0.9
    integers = [kind for kind in types(path).values() if kind == onnx.TensorProto.INT8]
    assert len(integers) == 2 * 6 + 1  # four products of attention and two behind it in either block, and the head


def test_what_goes_into_a_softmax_is_not_rounded_in_training_in_8_bits(ctx: TextContext) -> None:
    """Padding's -1e4 stands there: of 256 levels from it all real scores would have one."""
    network = encoder(seed=0).eval()
    network.requires_grad_(False)
    expected = network(ctx.ids, ctx.mask)
    graph = fake_quantized(network, ctx.example)
    watch(graph, [(ctx.ids, ctx.mask)])
    ranges = dict(graph.get_submodule(RANGES).named_children())
    assert all(abs(float(one.low)) < 1e3 for one in ranges.values())
    assert (graph(ctx.ids, ctx.mask) - expected).abs().max() < 0.05 * expected.abs().max()
