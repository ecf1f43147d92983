"""Dynamic quantization: the weights of fully connected layers become int8, activations at every call."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

from kdbench.errors import TechniqueError
from kdbench.protocols import Context, Effect, Technique


class DynamicQuantization(Technique):
    """Store the weights of matrix products as int8; scale their inputs anew, to uint8, at every call. No data needed.

    w is stored as round(w / a), a = max|w| / 127 over the tensor; x, the input of the product, is taken as
    round(x / b) + z with b and z from the smallest and largest value of this very input. The product is computed in
    integers and multiplied by a * b.

    `embeddings: true` also stores embeddings (the tables that Gather looks up) as int8; they are most of a small text
    model's bytes, and cost no time.

    MatMul and Gemm only, beside them. Convolutions stay float: onnxruntime has no fused kernel for dynamic ones
    (ConvInteger), and they ran at 0.15 to 0.78 of the float file's speed where that was measured (x86 with VNNI). So a
    convolutional network gains its classifier's bytes and little else; use `static_quantization` for it.

    Paper: Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
    Inference", section 2.1 (the scheme). Where we differ: ranges of activations are taken per call instead of learned,
    which costs a pass over each input and saves calibration.
    """

    form: ClassVar[Literal["torch", "onnx"]] = "onnx"
    version: ClassVar[int] = 1
    family: ClassVar[str] = "quantization"
    paper: ClassVar[str] = "Jacob et al. 2018, Quantization and Training of Neural Networks, section 2.1"
    effects: ClassVar[frozenset[Effect]] = frozenset({"rounding"})
    roles: ClassVar[frozenset[str]] = frozenset()

    embeddings: bool = False
    """Whether embeddings become int8, too."""
    exclude: tuple[str, ...] = ()
    """Layers to leave in float: names of layers or blocks of the network, or of ONNX nodes."""

    def apply(self, model: Path, ctx: Context) -> Path:
        import onnx
        from onnxruntime.quantization.quant_utils import QuantType
        from onnxruntime.quantization.quantize import quantize_dynamic

        from kdbench.techniques.quantization import _onnx

        result = ctx.out / "model.onnx"
        kept = _onnx.named_nodes(onnx.load(model), self.exclude, "exclude")
        with _onnx.quiet():
            quantize_dynamic(
                _onnx.load_for_quantizer(model),
                result,
                op_types_to_quantize=["MatMul", "Gemm", *(["Gather"] if self.embeddings else [])],
                nodes_to_exclude=sorted({*kept, *(f"{name}_MatMul" for name in kept)}),  # what it makes of a Gemm
                weight_type=QuantType.QInt8,
            )
        if not _onnx.strip(result)["DynamicQuantizeLinear"]:
            raise TechniqueError(
                "nothing was quantized: no MatMul or Gemm with constant weights is left in this file; exclude less, or "
                "use static_quantization."
            )
        return result

    def problem(self, model: Any, ctx: Context) -> str | None:
        import onnx

        from kdbench.techniques.quantization import _onnx

        if not _onnx.layers(onnx.load(model), _onnx.LINEAR):
            return "no fully connected layer (MatMul, Gemm with constant weights), and convolutions stay float."
        return _onnx.quantized_already(model)
