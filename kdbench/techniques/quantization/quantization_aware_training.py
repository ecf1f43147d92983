"""Quantization-aware training: a trained network learns to compute in 8 bits, and becomes an 8-bit file."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from kdbench.protocols import Context, Destination, Effect, TaskDescription
from kdbench.techniques.quantization import _activation_types
from kdbench.techniques.recovery import Recovery

if TYPE_CHECKING:
    from torch import Tensor, nn


class QuantizationAwareTraining(Recovery):
    """Fine-tune a trained network while its weights and activations are rounded to 8 bits; the file is int8.

    In the forward pass each weight w of a convolution or linear layer is a * round(w / a), a = max|w| / 127 over its
    output channel, and each activation that such a layer, a residual sum or a concatenation takes or gives is
    a * (clip(round(x / a) + z, 0, 255) - z). The backward pass leaves the rounding out (the straight-through
    estimator) and gives no gradient where an activation was clipped. Ranges start at the extremes over `samples`
    training inputs and then follow each batch's (moving average, 0.01). The fine-tuning uses the recipe `finetune`,
    with labels or with the loss of `distil`.

    The exported file holds int8 weights, int32 biases and QuantizeLinear/DequantizeLinear pairs, with BatchNorm folded
    in, at exactly the levels that were trained. Logits, pooled means and what else has no 8-bit kernel stay float, and
    so do embeddings and the scores of attention: behind a mask's -1e4 all of these would be one level.

    `activation_type` and `symmetric` as in `static_quantization`. The training happens once: `auto` follows the
    first target of the suite.

    Paper: Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
    Inference", section 3. Where we differ: weights are rounded per output channel (Krishnamoorthi 2018, section 3),
    which makes folding BatchNorm into them before rounding, the paper's section 3.2, the same as rounding without
    it; and activations are rounded from the first step, in ranges found beforehand.

    What it buys: what `static_quantization` buys, with most of the accuracy won back that rounding costs.
    Features can be distilled from single layers only: blocks are no modules any more in the graph that trains.
    A network whose forward torch.fx cannot follow is refused: the transformers library's, and those of sound where
    lengths vary.
    """

    version: ClassVar[int] = 2
    family: ClassVar[str] = "quantization"
    paper: ClassVar[str] = "Jacob et al. 2018, Quantization and Training of Neural Networks, section 3"
    effects: ClassVar[frozenset[Effect]] = frozenset({"surgery", "rounding"})

    activation_type: Literal["auto", "uint8", "int8"] = "auto"
    """The type in which activations are stored; weights are int8."""
    symmetric: bool | Literal["auto"] = "auto"
    """Whether their zero lies in the middle, as TensorRT wants them; half of the levels are lost after ReLU."""
    samples: int = Field(128, gt=0)
    """Training inputs that the ranges start from."""

    def settle(self, destination: Destination) -> QuantizationAwareTraining:
        chosen = _activation_types.settled(self.activation_type, self.symmetric, destination)
        return self.model_copy(update=chosen)

    def apply(self, model: nn.Module, ctx: Context) -> nn.Module:
        import torch

        from kdbench.techniques.quantization import _fake_quantized
        from kdbench.techniques.surgery_check import answers, check_inputs, check_same

        here = self.settle(Destination(provider="cpu", machine=platform.machine()))
        inputs = check_inputs(ctx.train)
        expected = answers(_fake_quantized.with_rounded_weights(model, ctx.example), inputs)
        network = _fake_quantized.fake_quantized(
            model, ctx.example, signed=here.activation_type == "int8", symmetric=bool(here.symmetric)
        )
        got = answers(_fake_quantized.with_plain_activations(network), inputs)
        check_same(expected, got, "before its activations are rounded the rewritten network is the same")
        device = ctx.example[0].device
        batches = [
            tuple(torch.from_numpy(sample[name]).to(device) for name in ctx.task.input_names)
            for sample in ctx.calibration(self.samples)
        ]
        _fake_quantized.watch(network, batches)
        return self.recover(network, ctx)

    def restore(self, network: nn.Module, state: Mapping[str, Tensor], task: TaskDescription) -> nn.Module:
        import torch

        from kdbench.techniques.quantization import _fake_quantized

        example = tuple(
            torch.zeros(2, *shape, dtype=getattr(torch, one.dtype))
            for one, shape in zip(task.inputs, task.input_shapes, strict=True)
        )
        return _fake_quantized.fake_quantized(network, example)

    def file_form(self, network: nn.Module) -> nn.Module:
        """The network with its weights as integers."""
        from torch import fx

        from kdbench.techniques.quantization import _integer

        assert isinstance(network, fx.GraphModule)
        return _integer.integer_form(network)

    def check_file(self, path: Path, network: nn.Module) -> None:
        """Raises ExportError where the file does not hold every layer's weights as integers."""
        from kdbench.techniques.quantization import _integer

        _integer.check_file(path, network)

    def problem(self, model: Any, ctx: Context) -> str | None:
        from kdbench.techniques.quantization import _fake_quantized

        return _fake_quantized.obstacle(model, ctx.example)
