"""Quantization by LiteRT's own quantizer, for LiteRT's files alone."""

from __future__ import annotations

from typing import ClassVar

from kdbench.techniques.quantization._runtime_quantization import RuntimeQuantization


class LitertQuantization(RuntimeQuantization):
    """Make LiteRT's file with int8 weights, one scale an output channel, by ai-edge-quantizer.

    `activations: static` stores activations in int8, with one scale and zero a tensor from the extremes that it takes
    over `samples` training examples; inputs and outputs stay float. `dynamic` keeps activations in float, and XNNPACK
    rounds each one to 8 bits by its own extremes before a product. Files of all batch sizes have the same ranges, so
    that an example has one answer.

    On targets of the runtime `litert` alone: an ONNX file that static_quantization made would run there in float, its
    integers simulated. Its accuracy is measured on this very file.

    Paper: Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
    Inference", section 2 (the scheme); recipes static_wi8_ai8 and dynamic_wi8_afp32 of ai-edge-quantizer 0.10.

    What it buys: a quarter of the bytes; on a processor with 8-bit dot products most of a convolutional network's time.
    Operators that XNNPACK does not take in 8 bits run in LiteRT's own kernels, slowly; the row names them.
    """

    runtime: ClassVar[str] = "litert"
