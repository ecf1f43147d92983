"""Static quantization: weights and activations become 8 bit, with ranges calibrated on training data."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from kdbench.protocols import Context, Destination, Effect, Technique
from kdbench.techniques.quantization import _activation_types


class StaticQuantization(Technique):
    """Run the whole network in 8-bit integers; the range of each activation is fixed beforehand on training data.

    Each tensor x is taken as q = round(x / a) + z, clipped to 8 bits. Weights: int8, one a per output channel (or per
    tensor), z = 0. Activations: one a and z a tensor, from the range that `method` finds over `samples` training
    inputs: `minmax` takes the extremes, `entropy` the range that loses least information (KL over histograms),
    `percentile` leaves out the values beyond that percentile. The file has QuantizeLinear/DequantizeLinear pairs,
    which a runtime fuses.

    `activation_type: auto` follows the target: uint8 on x86, where it decides between all and a part of the
    convolutions running in int8 (the library's own default, int8, ran a ResNet-18 at 1.2 times the float speed where
    uint8 ran it at 5); int8 on Arm; int8 with its zero in the middle (`symmetric`) for TensorRT, which takes nothing
    else. The fields in a result's `compression` record say what was chosen.

    `sensitive: n` keeps the n worst layers in float: each layer is quantized alone, and those whose rounding moves
    the logits most over the calibration inputs (mean square) are left out. It costs one quantization and one
    pass over the inputs for each layer; the file's notes say which they are.

    Paper: Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
    Inference", section 2; ranges after training and weights per channel as in Krishnamoorthi 2018, "Quantizing deep
    convolutional networks for efficient inference: A whitepaper", section 3; the search layer by layer as in Wu et al.
    2020, "Integer Quantization for Deep Learning Inference", section 6.1.

    What it buys: a quarter of the bytes, and latency where the processor has 8-bit dot products and the network
    enough to compute. Without them (x86 before VNNI) sums of uint8 * int8 products may saturate and cost accuracy.
    """

    form: ClassVar[Literal["torch", "onnx"]] = "onnx"
    version: ClassVar[int] = 2
    family: ClassVar[str] = "quantization"
    paper: ClassVar[str] = "Jacob et al. 2018, Quantization and Training of Neural Networks, section 2"
    effects: ClassVar[frozenset[Effect]] = frozenset({"rounding"})
    roles: ClassVar[frozenset[str]] = frozenset()

    method: Literal["minmax", "entropy", "percentile"] = "minmax"
    """How the range of an activation is found."""
    percentile: float | None = Field(None, gt=50, lt=100)
    """Share of the values, in percent, that lies within the range; with method percentile only, default 99.999."""
    activation_type: Literal["auto", "uint8", "int8"] = "auto"
    """The type in which activations are stored; weights are int8."""
    symmetric: bool | Literal["auto"] = "auto"
    """Whether activations have their zero in the middle of the range."""
    per_channel: bool = True
    """Whether each output channel of a weight has a scale of its own."""
    samples: int = Field(128, gt=0)
    """Training inputs to calibrate on."""
    exclude: tuple[str, ...] = ()
    """Layers to leave in float: names of layers or blocks of the network, or of ONNX nodes."""
    sensitive: int = Field(0, ge=0)
    """How many more layers to leave in float, those whose rounding alone changes the outputs most."""
    operators: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """The ONNX operators that become integers; by default all that the library can. For a transformer MatMul, Gemm and
    Gather: the mask of padding leaves the scores of attention no room in 8 bits."""

    @model_validator(mode="after")
    def _consistent(self) -> StaticQuantization:
        if self.percentile is not None and self.method != "percentile":
            raise ValueError(f"percentile belongs to method percentile, not {self.method}")
        return self

    def settle(self, destination: Destination) -> StaticQuantization:
        chosen = _activation_types.settled(self.activation_type, self.symmetric, destination)
        return self.model_copy(update=chosen)

    def apply(self, model: Path, ctx: Context) -> Path:
        import onnx

        from kdbench.techniques.quantization import _calibrated, _onnx

        here = self.settle(Destination(provider="cpu", machine=platform.machine()))
        kept = _onnx.named_nodes(onnx.load(model), self.exclude, "exclude")
        scheme = _calibrated.Scheme(
            method=self.method,
            activation_type=here.activation_type,
            symmetric=bool(here.symmetric),
            per_channel=self.per_channel,
            percentile=self.percentile or 99.999,
            operators=_calibrated.known_operators(self.operators),
        )
        source = _calibrated.Quantizable(model, ctx.calibration(self.samples), scheme)
        if self.sensitive:
            worst = source.most_sensitive(self.sensitive, kept)
            ctx.note(f"Kept in float, as the layers most sensitive to rounding: {', '.join(worst)}.")
            kept |= set(worst)
        result = ctx.out / "model.onnx"
        source.write(result, exclude=kept)
        rough = _onnx.rough_scores(onnx.load(result))
        if rough:
            ctx.note(
                f"Attention is lost in {len(rough)} of the file's softmaxes: what goes into them is rounded in steps "
                f"of up to {max(rough):.3g}, as the mask of padding is in its range, and so all tokens weigh alike. "
                "Say `operators: [MatMul, Gemm, Gather]`, or use dynamic_quantization."
            )
        return result

    def problem(self, model: Any, ctx: Context) -> str | None:
        from kdbench.techniques.quantization import _onnx

        return _onnx.quantized_already(model)
