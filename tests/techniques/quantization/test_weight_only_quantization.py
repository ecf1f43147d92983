"""Weight-only quantization: large linear layers in blocks of 4 or 8 bits, and a refusal where there are none."""

import subprocess
import sys

import numpy as np
import onnx
import pytest
from torch import nn

from kdbench.errors import TechniqueError
from kdbench.techniques.quantization.weight_only_quantization import WeightOnlyQuantization

SMALL = {"smallest_layer": 256}


def types(path) -> list[str]:
    return [node.op_type for node in onnx.load(path).graph.node]


@pytest.mark.parametrize(("bits", "share", "closeness"), [(4, 0.3, 0.98), (8, 0.45, 0.999)])
@pytest.mark.parametrize("symmetric", [True, False])
def test_every_linear_layer_becomes_one_kernel_and_the_answers_stay(
    bits, share, closeness, symmetric, context, export, run, kernels
):
    wide = nn.Sequential(nn.Flatten(), nn.Linear(64, 512), nn.ReLU(), nn.Linear(512, 10))
    source, ctx = export(wide), context()

    path = WeightOnlyQuantization(bits=bits, symmetric=symmetric, **SMALL).apply(source, ctx)

    images = ctx.images.numpy()
    assert path == ctx.out / "model.onnx"
    assert kernels(path).count("MatMulNBits") == 2
    assert not {"Gemm", "MatMul"} & set(types(path))
    assert path.stat().st_size < share * source.stat().st_size
    assert np.corrcoef(run(path, images).ravel(), run(source, images).ravel())[0, 1] > closeness


def test_the_kernel_computes_in_int8_without_which_8_bits_are_slow(context, exported):
    path = WeightOnlyQuantization(bits=8, **SMALL).apply(exported("mlp"), context())

    nodes = [node for node in onnx.load(path).graph.node if node.op_type == "MatMulNBits"]
    levels = {onnx.helper.get_node_attr_value(node, "accuracy_level") for node in nodes}
    assert levels == {4}


def test_smaller_layers_and_excluded_ones_stay_as_they_were(context, exported):
    large_only = WeightOnlyQuantization(smallest_layer=2048).apply(exported("mlp"), context())
    assert types(large_only).count("MatMulNBits") == 2
    assert types(large_only).count("Gemm") == 1

    excluded = WeightOnlyQuantization(**SMALL, exclude=("3",)).apply(exported("mlp"), context())
    assert types(excluded).count("MatMulNBits") == 2
    left = {tensor.name for tensor in onnx.load(excluded).graph.initializer if tensor.data_type == 1}
    assert "3.weight" in left


def test_a_model_without_large_linear_layers_is_refused_in_a_sentence(context, exported):
    problem = WeightOnlyQuantization().problem(exported("residual"), context())

    assert problem.startswith("the model has no linear layer of 65536 weights or more")
    with pytest.raises(TechniqueError, match="0 of 0 linear layers were quantized"):
        WeightOnlyQuantization().apply(exported("residual"), context())
    assert WeightOnlyQuantization(**SMALL).problem(exported("mlp"), context()) is None


def test_an_unknown_layer_is_refused_with_the_nearest_name(context, exported):
    with pytest.raises(TechniqueError, match=r"exclude: the file has no layer and no node 'node_liner'. Did you mean"):
        WeightOnlyQuantization(**SMALL, exclude=("node_liner",)).apply(exported("mlp"), context())


def test_the_file_runs_at_any_batch_size_and_has_the_same_bytes_again(context, exported, run):
    source, technique = exported("mlp"), WeightOnlyQuantization(**SMALL)
    before = source.read_bytes()

    path = technique.apply(source, context())

    first = path.read_bytes()
    for batch in (1, 5):
        assert run(path, np.zeros((batch, 1, 8, 8), np.float32)).shape == (batch, 10)
    assert technique.apply(source, context()).read_bytes() == first
    assert source.read_bytes() == before


def test_values_that_lie_on_the_levels_are_stored_exactly(context, export, run):
    """With 8 bits and a = max|w| / 128: multiples of 1/128 between -1 and 127/128 come back as they were."""
    import torch

    layer = nn.Linear(64, 256, bias=False)
    levels = torch.randint(-127, 128, layer.weight.shape, generator=torch.Generator().manual_seed(0))
    levels[:, ::16] = -128
    layer.weight.data = levels / 128
    source = export(nn.Sequential(nn.Flatten(), layer))

    path = WeightOnlyQuantization(bits=8, block_size=16, smallest_layer=1).apply(source, context())

    one_hot = np.eye(64, dtype=np.float32).reshape(64, 1, 8, 8)
    assert np.allclose(run(path, one_hot), run(source, one_hot), atol=1e-6)


def test_nothing_is_said_and_logging_is_left_alone(context, exported, tmp_path):
    """In a process of its own: the library's module sets the root logger up when it is first imported."""
    exported("mlp")
    code = (
        "import logging, sys\n"
        "from pathlib import Path\n"
        "from kdbench.techniques.quantization import _weight_only\n"
        "folder = Path(sys.argv[1])\n"
        "_weight_only.quantize(folder / 'float.onnx', folder / 'model.onnx', 4, 32, True, 256, ())\n"
        "assert not logging.getLogger().handlers\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
