"""The proof of what OpenVINO ran, from the layers of its compiled model; it imports no OpenVINO."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

MULTIPLYING = frozenset(
    {
        *("Convolution", "GroupConvolution", "Deconvolution", "FullyConnected", "MatMul", "Gemm"),
        *("ScaledDotProductAttention", "MHA", "LSTMSequence", "GRUSequence", "RNNSeq", "RNNCell"),
    }
)
"""Types of layers that multiply: convolutions and matrix products."""
HOLDING = frozenset({"Input", "Const", "Output", "Parameter", "Result", "Constant"})
"""Types of layers that hold tensors, and are never executed."""
PRECISIONS = {"f32": "fp32", "bf16": "bf16", "f16": "fp16", "i8": "int8", "u8": "int8"}
"""Endings of kernels' names, and types of tensors -> what computing in them is called."""
INT8 = "int8"
NARROWEST_FIRST = (INT8, "bf16", "fp16", "fp32")
STORED_IN_8_BITS = frozenset({"i8", "u8"})


@dataclass(frozen=True)
class Layer:
    """One layer of a compiled model."""

    type: str
    precision: str
    """`runtimePrecision`: the type of its output, or of what it multiplies."""
    kernel: str
    """`primitiveType`: "brgconv_avx512_f32", "jit_gemm_I8"."""

    @property
    def computes(self) -> str | None:
        """What it computes in: by its kernel's name, which says `I8` where the tensor may be of any 8-bit type."""
        ending = self.kernel.rpartition("_")[2].lower()
        return PRECISIONS.get(ending) or PRECISIONS.get(self.precision)


def layers_of(infos: Iterable[Mapping[str, str]]) -> list[Layer]:
    """The layers of a compiled model that compute; `infos`: each one's `rt_info`, in execution order."""
    layers = [Layer(info["layerType"], info["runtimePrecision"], info["primitiveType"]) for info in infos]
    return [layer for layer in layers if layer.type not in HOLDING]


def proof_of(layers: list[Layer], device: str, kernel_ns: int, stored_in_8_bits: int) -> dict[str, Any]:
    """The proof of one call; `stored_in_8_bits`: how many constants of the file are of an 8-bit type."""
    multiplying = [layer for layer in layers if layer.type in MULTIPLYING]
    words = [layer.computes for layer in multiplying or layers]
    fraction = int8_kernel_fraction(multiplying)
    return {
        "node_count_by_provider": {device: len(layers)},
        "kernel_ns_by_provider": {device: kernel_ns},
        "int8_kernel_fraction": fraction,
        "effective_precision": effective_precision(words if multiplying else [word for word in words if word]),
        "execution_note": note(fraction, stored_in_8_bits),
    }


def int8_kernel_fraction(multiplying: list[Layer]) -> float | None:
    """Share of the convolutions and matrix products that ran in int8; None in a model without any."""
    return sum(layer.computes == INT8 for layer in multiplying) / len(multiplying) if multiplying else None


def effective_precision(words: list[str | None]) -> str | None:
    """ "fp32", "int8+fp32"; None where there is nothing to tell, or a kernel does not tell."""
    told = {word for word in words if word is not None}
    return "+".join(sorted(told, key=NARROWEST_FIRST.index)) if told and None not in words else None


def note(int8_fraction: float | None, stored_in_8_bits: int) -> str | None:
    """That integers of the file ran as float kernels: OpenVINO unpacks dynamically quantized products."""
    if not stored_in_8_bits or int8_fraction != 0:
        return None
    return "the file's weights are stored in 8 bits, and OpenVINO unpacked them and multiplied floats"
