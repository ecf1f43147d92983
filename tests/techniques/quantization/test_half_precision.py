"""Half precision: half of the bytes, the same answers, and a sentence where the runtime has no such kernels."""

import numpy as np
import onnx
import pytest

from kdbench.errors import TechniqueError
from kdbench.techniques.quantization.half_precision import HalfPrecision


@pytest.mark.parametrize("name", ["plain", "residual", "depthwise", "mlp"])
def test_fp16_halves_the_file_and_keeps_inputs_outputs_and_answers(name, context, exported, run):
    source, ctx = exported(name), context()

    path = HalfPrecision().apply(source, ctx)

    images = ctx.images.numpy()
    got = run(path, images)
    weights = {t.data_type for t in onnx.load(path).graph.initializer if len(t.dims) > 1}
    assert path == ctx.out / "model.onnx"
    assert weights == {onnx.TensorProto.FLOAT16}
    assert path.stat().st_size < 0.7 * source.stat().st_size
    assert got.dtype == np.float32
    assert np.allclose(got, run(source, images), atol=5e-3)


def test_weights_that_half_precision_holds_are_kept_exactly(context, build, export, run):
    model = build("mlp")
    for parameter in model.parameters():
        parameter.data = parameter.data.half().float()
    source = export(model)

    stored = {
        t.name: onnx.numpy_helper.to_array(t)
        for t in onnx.load(HalfPrecision().apply(source, context())).graph.initializer
    }

    for tensor in onnx.load(source).graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            assert np.array_equal(stored[tensor.name].astype(np.float32), onnx.numpy_helper.to_array(tensor))


def test_bf16_runs_or_is_refused_in_the_runtimes_own_words(context, exported, run):
    source, ctx = exported("plain"), context()

    refusal = None
    try:
        path = HalfPrecision(format="bf16").apply(source, ctx)
    except TechniqueError as error:
        refusal = str(error)

    if refusal is None:
        images = ctx.images.numpy()
        assert np.corrcoef(run(path, images).ravel(), run(source, images).ravel())[0, 1] > 0.99
    else:
        assert "runs no bf16 file of the model (cpu: " in refusal
        assert refusal.endswith(").")


def test_a_quantized_file_is_refused_and_the_same_file_gives_the_same_bytes(context, exported):
    from kdbench.techniques.quantization.static_quantization import StaticQuantization

    source = exported("mlp")
    first = HalfPrecision().apply(source, context()).read_bytes()
    assert HalfPrecision().apply(source, context()).read_bytes() == first

    quantized = StaticQuantization(samples=32).apply(source, context())
    assert "quantized already" in HalfPrecision().problem(quantized, context())


def test_half_precision_twice_is_an_error(context, exported):
    ctx = context()
    once = HalfPrecision().apply(exported("mlp"), ctx)

    with pytest.raises(TechniqueError, match="no 32-bit weights"):
        HalfPrecision().apply(once, ctx)
