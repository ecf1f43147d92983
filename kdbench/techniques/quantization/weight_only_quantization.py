"""Weight-only quantization: the weights of large linear layers become 4 or 8 bit, block by block."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from kdbench.protocols import Context, Effect, Technique


class WeightOnlyQuantization(Technique):
    """Store the weights of large linear layers in 4 or 8 bits, one scale for each block of inputs. No data needed.

    Of each output channel every `block_size` weights in a row share a scale a (and a zero z unless `symmetric`):
    w = a * (q - z), a = max|w| / 2^(bits - 1), or (max - min) / (2^bits - 1). The layer becomes one MatMulNBits, an
    operator of onnxruntime's own: other runtimes do not read the file. Its `accuracy_level` is 4: the kernel
    rounds its input to int8 as well, block by block; without it 8 bits ran at 0.05 of the float file's speed, with it
    at 3.7 (x86 with VNNI, linear layers of 4096 x 4096). Convolutions and smaller layers stay as they are.

    Paper: Dettmers et al. 2022, "8-bit Optimizers via Block-wise Quantization", section 2.1 (blocks and their absolute
    maxima). Where we differ: levels are equally far apart, and weights are rounded to the nearest one, nothing more.

    What it buys: the bytes of large linear layers, and latency where reading them is what takes time (small batches).
    """

    form: ClassVar[Literal["torch", "onnx"]] = "onnx"
    version: ClassVar[int] = 1
    family: ClassVar[str] = "quantization"
    paper: ClassVar[str] = "Dettmers et al. 2022, 8-bit Optimizers via Block-wise Quantization, section 2.1"
    effects: ClassVar[frozenset[Effect]] = frozenset({"rounding"})
    roles: ClassVar[frozenset[str]] = frozenset()

    bits: Literal[4, 8] = 4
    """Bits of a weight."""
    block_size: Literal[16, 32, 64, 128, 256] = 32
    """Weights that share a scale."""
    symmetric: bool = True
    """Whether the levels lie around 0; else each block has a zero of its own."""
    smallest_layer: int = Field(65536, gt=0)
    """Linear layers with fewer weights stay float."""
    exclude: tuple[str, ...] = ()
    """Layers to leave in float: names of layers or blocks of the network, or of ONNX nodes."""

    def apply(self, model: Path, ctx: Context) -> Path:
        from kdbench.techniques.quantization import _weight_only

        result = ctx.out / "model.onnx"
        count = _weight_only.quantize(
            model, result, self.bits, self.block_size, self.symmetric, self.smallest_layer, self.exclude
        )
        ctx.log.info("%d linear layers have %d-bit weights", count, self.bits)
        return result

    def problem(self, model: Any, ctx: Context) -> str | None:
        import onnx

        from kdbench.techniques.quantization import _onnx, _weight_only

        if not _weight_only.large(onnx.load(model), self.smallest_layer):
            return (
                f"the model has no linear layer of {self.smallest_layer} weights or more, and no other kind has "
                "weight-only kernels; use static_quantization."
            )
        return _onnx.quantized_already(model)
