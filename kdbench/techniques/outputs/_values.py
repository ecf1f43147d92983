"""The base of methods on outputs of values, for which the labels say how wrong the teacher is. Knows no formula."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from kdbench.techniques.distillation import Distillation
from kdbench.techniques.output_kinds import ON_VALUES


class ValueDistillation(Distillation):
    """A method on the values (B, D) of student, teacher and labels, all in units of their spread."""

    kinds: ClassVar[frozenset[str]] = frozenset({"values"})
    by_kind: ClassVar[Mapping[str, str]] = ON_VALUES

    def no_targets(self) -> str | None:
        return (
            "it is a loss of student, teacher and labels together; fit it to the teacher's values, soft_distillation."
        )
