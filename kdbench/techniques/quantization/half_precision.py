"""Half precision: weights and activations of a file in 16 bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

from kdbench.protocols import Context, Effect, Technique


class HalfPrecision(Technique):
    """Store weights and compute in 16-bit floating point; inputs and logits stay 32 bit. No data needed.

    `fp16` (IEEE half) has 11 bits of precision and ends at 65,504: larger weights are clipped to that. `bf16` has 8
    bits of precision and the range of fp32. Operators without a 16-bit form keep fp32 between casts.

    Paper: Micikevicius et al. 2018, "Mixed Precision Training", section 3 (what fp16 holds and what it loses). Where
    we differ: nothing is trained, so there is no fp32 copy of the weights and no loss scale.

    What it buys: half of the bytes. On CPUs nothing more: onnxruntime casts fp16 weights back when it loads them
    (0.96 to 1.07 times the float speed where that was measured), and has no bf16 convolution. Speed is to be
    had on GPUs.
    """

    form: ClassVar[Literal["torch", "onnx"]] = "onnx"
    version: ClassVar[int] = 1
    family: ClassVar[str] = "quantization"
    paper: ClassVar[str] = "Micikevicius et al. 2018, Mixed Precision Training, section 3"
    effects: ClassVar[frozenset[Effect]] = frozenset({"rounding"})
    roles: ClassVar[frozenset[str]] = frozenset()

    format: Literal["fp16", "bf16"] = "fp16"
    """The 16-bit type. bf16 is taken only where the onnxruntime beside this Python loads such a file."""

    def apply(self, model: Path, ctx: Context) -> Path:
        from kdbench.techniques.quantization import _half

        result = ctx.out / "model.onnx"
        (_half.to_fp16 if self.format == "fp16" else _half.to_bf16)(model, result)
        return result

    def problem(self, model: Any, ctx: Context) -> str | None:
        from kdbench.techniques.quantization import _onnx

        return _onnx.quantized_already(model)
