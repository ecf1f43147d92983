"""Static quantization: weights and activations become 8 bit, with ranges calibrated on training data."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from kdbench.protocols import Context, Destination, Technique


class StaticQuantization(Technique):
    """Run the whole network in 8-bit integers; the range of each activation is fixed beforehand on training data.

    Each tensor x is taken as q = round(x / a) + z, clipped to 8 bits. Weights: int8, one a per output channel, z = 0.
    Activations: one a and z a tensor, from the range that `method` finds over `samples` training inputs:
    `minmax` takes the extremes, `entropy` the range that loses least information (KL over histograms), `percentile`
    cuts off the outermost 0.001%. The file has QuantizeLinear/DequantizeLinear pairs, which a runtime fuses.

    `activation_type: auto` follows the target: uint8 on x86, where it decides between all and a part of the
    convolutions running in int8; int8, symmetric, on Arm and for TensorRT, which takes nothing else.

    Paper: Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
    Inference", section 2; ranges after training and weights per channel as in Krishnamoorthi 2018, "Quantizing deep
    convolutional networks for efficient inference: A whitepaper", section 3.

    What it buys: a quarter of the bytes, and latency where the processor has 8-bit dot products and the network
    enough to compute. Without them (x86 before VNNI) sums of uint8 * int8 products may saturate and cost accuracy.
    """

    form: ClassVar[Literal["torch", "onnx", "estimator"]] = "onnx"
    needs: ClassVar[frozenset[str]] = frozenset({"calibration"})
    version: ClassVar[int] = 1
    family: ClassVar[str] = "quantization"
    paper: ClassVar[str] = "Jacob et al. 2018, Quantization and Training of Neural Networks, section 2"
    roles: ClassVar[frozenset[str]] = frozenset()

    method: Literal["minmax", "entropy", "percentile"] = "minmax"
    """How the range of an activation is found."""
    activation_type: Literal["auto", "uint8", "int8"] = "auto"
    """What activations are stored as; weights are int8."""
    samples: int = Field(128, gt=0)
    """Training inputs to calibrate on."""
    keep_float: tuple[str, ...] = ()
    """Names of ONNX nodes to leave as they are."""

    def settle(self, destination: Destination) -> StaticQuantization:
        if self.activation_type != "auto":
            return self
        arm = destination.machine.lower().startswith(("arm", "aarch"))
        chosen = "int8" if arm or destination.provider == "tensorrt" else "uint8"
        return self.model_copy(update={"activation_type": chosen})

    def apply(self, model: Path, ctx: Context) -> Path:
        from kdbench.techniques import _calibrated

        here = self.settle(Destination(provider="cpu", machine=platform.machine()))
        samples = ctx.calibration(self.samples)
        result = ctx.out / "model.onnx"
        _calibrated.quantize(model, result, samples, self.method, here.activation_type, self.keep_float)
        return result
