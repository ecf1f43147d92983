"""Inheritance: a smaller transformer begins with weights of its teacher's blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from kdbench.protocols import Context, Effect, Technique

if TYPE_CHECKING:
    from torch import nn

Paths = tuple[str, ...]


class Inherit(Technique):
    """Copy the teacher's weights into a student with fewer blocks, block by block; heads and widths may be fewer, too.

    theta_m <- the teacher's theta_g(m) for the student's block m; what belongs to no block (embeddings, classifier)
    goes over by name. A layer of the student that is narrower takes the first numbers of each axis, which are whole
    heads where heads have the teacher's size; what is wider, or not in the teacher, keeps new weights. Nothing is
    trained: put it before `soft_distillation` or another distillation, or say `trained: true`.

    Papers: Sanh et al. 2019, "DistilBERT", section 3 (`alternate`: one block out of two, from the first); Sun et al.
    2019, "Patient Knowledge Distillation", section 4.2 (`first`).
    """

    works_on: ClassVar[Literal["anything", "texts", "transformers"]] = "transformers"
    paper: ClassVar[str] = "Sanh et al. 2019, DistilBERT, a distilled version of BERT, section 3"
    start: ClassVar[Literal["fresh", "trained", "pretrained"]] = "fresh"
    needs: ClassVar[frozenset[str]] = frozenset({"teacher_features"})
    effects: ClassVar[frozenset[Effect]] = frozenset({"restart"})

    layer_map: Literal["alternate", "uniform", "first", "last"] = "alternate"
    """Which of the teacher's N blocks the student's M take over: `alternate` takes the first of each N / M, `uniform`
    the last of each, `first` the first M, `last` the last M."""
    student_layers: Paths | None = Field(None, min_length=1)
    """Blocks of the student by path, each with the teacher's at the same place; the others stay new."""
    teacher_layers: Paths | None = Field(None, min_length=1)
    """Blocks of the teacher by path."""
    trained: bool = False
    """Whether it is trained on the labels afterwards, under the student's recipe."""

    @model_validator(mode="after")
    def _blocks_in_pairs(self) -> Self:
        student, teacher = self.student_layers, self.teacher_layers
        if len(student or ()) != len(teacher or ()):
            raise ValueError("student_layers and teacher_layers name pairs of blocks: as many here as there")
        return self

    def trains_under(self) -> frozenset[str]:
        return self.roles if self.trained else frozenset()

    def apply(self, model: nn.Module, ctx: Context) -> nn.Module:
        """Raises TechniqueError where nothing of the teacher fits, or a block is named that is not there."""
        from kdbench.techniques.weights._inherited import inherited

        prefixes = self._prefixes(model, ctx)
        told = inherited(ctx.teacher_module.state_dict(), model, prefixes)
        ctx.note(f"inherit took {', '.join(f'{s} from {t}' for s, t in prefixes.items() if t)}; {told}.")
        return ctx.fit(model) if self.trained else model

    def _prefixes(self, student: nn.Module, ctx: Context) -> dict[str, str | None]:
        """Path of each of the student's blocks -> path of the teacher's, or None where it stays new."""
        from kdbench.techniques.transformer_distillation import matched, pairs, present

        own = present(ctx.student_layers, student, "student")
        taught = present(ctx.teacher_layers, ctx.teacher_module, "teacher")
        if self.layer_map == "alternate":
            found = [(m, m * len(taught) // len(own)) for m in range(len(own))]
        else:
            found = pairs(self.layer_map, len(own), len(taught))
        chosen = matched(own, taught, self.student_layers, self.teacher_layers, found)
        return {**dict.fromkeys((block.path for block in own), None), **{s.path: t.path for s, t in chosen}}
