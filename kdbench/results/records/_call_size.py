"""What one timed call takes: a number of examples and, where an axis varies, how long each of them is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class CallSize:
    """A batch size, and the examples' lengths where these vary; as text "1", or "1, length 16"."""

    batch_size: int
    lengths: tuple[tuple[str, int], ...] = ()
    """(axis, size)."""

    @classmethod
    def of(cls, batch_size: int, lengths: Mapping[str, int] | None = None) -> CallSize:
        """From the fields of a record."""
        return cls(batch_size, tuple((lengths or {}).items()))

    def __str__(self) -> str:
        return ", ".join([str(self.batch_size), *(f"{axis} {size}" for axis, size in self.lengths)])
