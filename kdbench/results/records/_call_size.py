"""What one timed call takes: a number of examples and, where an axis varies, how long each of them is."""

from collections.abc import Mapping
from typing import Any


class CallSize(int):
    """A batch size that is told apart by the examples' lengths, too; as text "1", or "1, length 16"."""

    lengths: tuple[tuple[str, int], ...]

    def __new__(cls, batch_size: int, lengths: Mapping[str, int] | None = None) -> "CallSize":
        made = super().__new__(cls, batch_size)
        made.lengths = tuple((lengths or {}).items())
        return made

    def __str__(self) -> str:
        return ", ".join([str(int(self)), *(f"{axis} {size}" for axis, size in self.lengths)])

    __repr__ = __str__

    def __eq__(self, other: Any) -> bool:
        same = isinstance(other, int) and int(self) == int(other)
        return same and self.lengths == getattr(other, "lengths", ())

    def __hash__(self) -> int:
        return hash((int(self), self.lengths)) if self.lengths else hash(int(self))

    def __lt__(self, other: Any) -> bool:
        return (int(self), self.lengths) < (int(other), getattr(other, "lengths", ()))
