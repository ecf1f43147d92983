"""Quantization by XNNPACK's quantizer, for ExecuTorch's programs alone."""

from __future__ import annotations

from typing import ClassVar

from kdbench.techniques.quantization._runtime_quantization import RuntimeQuantization


class ExecutorchQuantization(RuntimeQuantization):
    """Make ExecuTorch's program with int8 weights, one scale an output channel, by XNNPACKQuantizer and torchao's PT2E.

    `activations: static` rounds activations to int8 in ranges that observers find over `samples` training examples,
    each seen alone and at its own length. `dynamic` rounds the inputs of linear layers anew in every call, and leaves
    convolutions in float.

    Attention hides padding behind large negative numbers, which no example alone has and no static range holds: a
    text that is padded in a batch is then answered otherwise than alone. Take `dynamic` there.

    On targets of the runtime `executorch` alone. Its accuracy is measured on this very program: XNNPACK's integers
    differ from torch's simulation of them by a per cent or two.

    Paper: Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
    Inference", section 2 (the scheme); get_symmetric_quantization_config of executorch 1.5.

    What it buys: a quarter of the bytes; on a processor with 8-bit dot products most of a convolutional network's time.
    """

    runtime: ClassVar[str] = "executorch"
