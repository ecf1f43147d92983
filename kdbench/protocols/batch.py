"""Examples as a model takes them, several at once. Knows torch for type checking only."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Generator, Tensor

    from kdbench.protocols.data import Input


@dataclass(frozen=True)
class Batch:
    """B examples: `model(*batch.inputs)`.

    inputs: tensors of shape (B, ...), augmented, preprocessed and padded; targets: one tensor an output, (B, ...), as
    the output's kind says (`kdbench.protocols.data.Kind`); index: int64 (B,), the example's place in the training
    split, negative for an example of another; view: int64 (B,), which augmentation of it (0: none). Stored teacher
    outputs and contrastive memories need both. lengths: for each axis that varies, int64 (B,), how long each example
    is; for a target that varies in length by itself, the same under its output's name.
    """

    inputs: tuple[Tensor, ...]
    targets: tuple[Tensor, ...]
    index: Tensor
    view: Tensor
    lengths: dict[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.index)

    def mask(self, axis: str, size: int) -> Tensor:
        """bool (B, size): which places of an axis are the example's own, and not padding."""
        lengths = self.lengths[axis]
        return lengths.new_ones(size).cumsum(0) <= lengths[:, None]

    def part(self, index: Tensor | slice) -> Batch:
        """Some of its examples: a slice, a mask (B,) or places."""
        return replace(
            self,
            inputs=tuple(tensor[index] for tensor in self.inputs),
            targets=tuple(tensor[index] for tensor in self.targets),
            index=self.index[index],
            view=self.view[index],
            lengths={name: tensor[index] for name, tensor in self.lengths.items()},
        )

    def noisy(self, described: Sequence[Input], noise: float, generator: Generator | None = None) -> Batch:
        """A copy with normal noise on its numbers; ids, masks and targets are left as they are.

        described: the task's inputs. noise: the standard deviation, in units of each input's own spread. Indices are
        negative, so that no stored teacher output is taken for a copy. Without a generator torch's own draws.
        """
        inputs = []
        for tensor, one in zip(self.inputs, described, strict=True):
            if one.dtype == "int64" or not one.stored:
                inputs.append(tensor)
                continue
            drawn = tensor.new_empty(tensor.shape, device="cpu").normal_(generator=generator).to(tensor.device)
            spread = tensor.new_tensor(one.spread).reshape(1, -1, *(1 for _ in tensor.shape[2:]))
            inputs.append(tensor + noise * spread * drawn)
        return replace(self, inputs=tuple(inputs), index=-1 - self.index)
