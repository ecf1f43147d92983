"""Dynamic quantization: fully connected layers in int8, convolutions left alone."""

import logging

import numpy as np
import onnx
import pytest
from torch import nn

from kdbench.errors import TechniqueError
from kdbench.techniques.quantization.dynamic_quantization import DynamicQuantization


def weight_types(path) -> dict[str, int]:
    return {tensor.name: tensor.data_type for tensor in onnx.load(path).graph.initializer if len(tensor.dims) > 1}


def test_every_weight_of_an_mlp_is_int8_and_the_answers_stay(build, context, export, run, kernels):
    ctx = context()
    model = ctx.fit(build("mlp"))
    source = export(model)

    result = DynamicQuantization().apply(source, ctx)

    images = ctx.images.numpy()
    assert result == ctx.out / "model.onnx"
    assert set(weight_types(result).values()) == {onnx.TensorProto.INT8}
    assert kernels(result).count("DynamicQuantizeMatMul") == 3
    assert result.stat().st_size < 0.6 * source.stat().st_size
    assert (run(result, images).argmax(1) == run(source, images).argmax(1)).mean() > 0.95


def test_convolutions_stay_float(context, exported):
    result = DynamicQuantization().apply(exported("plain"), context())

    types = [node.op_type for node in onnx.load(result).graph.node]
    assert types.count("Conv") == 2
    assert "ConvInteger" not in types


def test_the_file_runs_at_any_batch_size(context, exported, run):
    result = DynamicQuantization().apply(exported("plain"), context())

    for batch in (1, 5):
        assert run(result, np.zeros((batch, 1, 8, 8), np.float32)).shape == (batch, 10)


def test_stored_shapes_of_weights_do_not_trip_the_quantizer(context, exported):
    source = exported("mlp")
    model = onnx.load(source)
    stale = next(tensor for tensor in model.graph.initializer if len(tensor.dims) == 2)
    model.graph.value_info.append(onnx.helper.make_tensor_value_info(stale.name, stale.data_type, list(stale.dims)))
    onnx.save(model, source)

    assert set(weight_types(DynamicQuantization().apply(source, context())).values()) == {onnx.TensorProto.INT8}


def test_the_same_file_gives_the_same_bytes_and_the_source_is_not_touched(context, exported):
    source = exported("mlp")
    before = source.read_bytes()

    first = DynamicQuantization().apply(source, context()).read_bytes()

    assert DynamicQuantization().apply(source, context()).read_bytes() == first
    assert source.read_bytes() == before


def test_nothing_else_is_written_said_or_set_up(context, exported, capfd):
    source = exported("mlp")
    handlers = list(logging.getLogger().handlers)
    capfd.readouterr()

    result = DynamicQuantization().apply(source, context())

    assert capfd.readouterr() == ("", "")
    assert logging.getLogger().handlers == handlers
    assert not onnx.load(result).metadata_props
    assert sorted(path.name for path in result.parent.iterdir()) == ["float.onnx", "model.onnx"]


def test_a_model_without_fully_connected_layers_is_a_problem_said_in_a_sentence(context, export):
    model = nn.Sequential(nn.Conv2d(1, 10, 8), nn.Flatten())
    source = export(model)

    assert "no fully connected layer" in DynamicQuantization().problem(source, context())
    with pytest.raises(TechniqueError, match="nothing was quantized"):
        DynamicQuantization().apply(source, context())


def test_a_model_with_a_classifier_has_no_problem(context, exported):
    assert DynamicQuantization().problem(exported("plain"), context()) is None


def test_a_file_is_not_quantized_twice(context, exported):
    once = DynamicQuantization().apply(exported("mlp"), context())

    assert "no fully connected layer" in DynamicQuantization().problem(once, context())
