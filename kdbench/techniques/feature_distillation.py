"""The base of every distillation of features and relations: its layers, taps and weights. Knows no formula."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from kdbench.errors import TechniqueError
from kdbench.protocols import Batch, Context, Layers, Loss, Outputs, TaskDescription
from kdbench.techniques.internal_distillation import Internal
from kdbench.techniques.output_kinds import ON_FEATURES

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from kdbench.techniques.tokens import Counts

Shape = tuple[int, ...]
Paths = tuple[str, ...]


class TappedDistillation(Internal):
    """loss = ce_weight * CE(labels) + kd_weight * the method's term + soft_weight * soft distillation.

    A method says which layers it taps (`tap`, `named`), how it computes its term (`term`), and which modules it
    trains for that and drops afterwards (`adapters`). The term is computed in fp32, whatever the training's precision.
    """

    by_kind: ClassVar[Mapping[str, str]] = ON_FEATURES
    tap: ClassVar[Literal["stages", "stem_and_stages", "preactivations", "last_stage", "middle_stage", "embedding"]]
    """The layers of an architecture that it taps unless the suite names others."""
    on_maps: ClassVar[bool] = False
    """Whether features must be maps (B, C, H, W); others are refused before any training."""
    on_examples: ClassVar[bool] = False
    """Whether it relates whole examples to each other: of tokens (B, L, d) their mean counts, (B, d). Else each token
    that is no padding is a vector by itself, (tokens, d)."""

    mixes_places: ClassVar[bool] = False
    """Whether its adapters mix the places of a map: refused where a map's last axis is a time that varies."""

    @classmethod
    def counts(cls) -> Counts:
        """What is compared."""
        return "examples" if cls.on_examples else "maps" if cls.on_maps else "places"

    def named(self) -> tuple[Paths | None, Paths | None]:
        """The layers that the suite names in student and teacher; None: the architecture's own."""
        return None, None

    def adapters(self, student: Sequence[Shape], teacher: Sequence[Shape], ctx: Context) -> nn.Module | None:
        """Modules to train beside the student, for features of these shapes (without the batch axis)."""
        return None

    def term(
        self, student: list[Tensor], teacher: list[Tensor], batch: Batch, adapters: nn.Module | None
    ) -> torch.Tensor:
        """The method's term without its weight, from the tapped features: one tensor a layer, a map (B, C, H, W) or
        vectors (B, d).
        """
        raise TypeError(f"{type(self).__name__} has no term()")

    @classmethod
    def default_layers(cls, layers: Layers) -> Paths:
        """The layers of an architecture that this method taps by default; empty where the architecture names none."""
        stages = layers.stages
        middle = (len(stages) - 1) // 2
        found = {
            "stages": stages,
            "stem_and_stages": (layers.stem, *stages) if layers.stem else stages,
            "preactivations": layers.preactivations,
            "last_stage": stages[-1:],
            "middle_stage": stages[middle : middle + 1],
            "embedding": (layers.embedding,) if layers.embedding else (),
        }
        return found[cls.tap]

    def pairs(self, ctx: Context) -> tuple[Paths, Paths]:
        """The layers of student and teacher, pair by pair; of unequal defaults the last ones of the longer list.

        An architecture without default layers gives one empty path, which `tapped` refuses with the legal names.
        """
        own, taught = self.named()
        student = own or self.default_layers(ctx.student_layers) or ("",)
        teacher = taught or self.default_layers(ctx.teacher_layers) or ("",)
        count = min(len(student), len(teacher))
        return student[-count:], teacher[-count:]

    @contextmanager
    def terms(self, student: nn.Module, ctx: Context) -> Iterator[tuple[nn.Module | None, Loss]]:
        from kdbench.techniques.taps import shapes, tapped
        from kdbench.techniques.tokens import kind_of, shape_of_each, vectors

        teacher = ctx.teacher_module
        of_student, of_teacher = self.pairs(ctx)
        side: Literal["input", "output"] = "input" if self.tap == "preactivations" else "output"
        with (
            tapped(student, of_student, "student", side) as own,
            tapped(teacher, of_teacher, "teacher", side) as taught,
        ):
            of_own, of_taught = shapes(student, own, ctx), shapes(teacher, taught, ctx)
            own_kinds = list(map(partial(kind_of, ctx.student_layers), of_student, of_own))
            kinds = list(map(partial(kind_of, ctx.teacher_layers), of_teacher, of_taught))
            over_time = "time_map" in (*own_kinds, *kinds) and any(one.symbolic for one in ctx.task.inputs)
            self._refuse_mixing(over_time)
            each = partial(shape_of_each, task=ctx.task, counts=self.counts())
            of_own, of_taught = list(map(each, of_own, own_kinds)), list(map(each, of_taught, kinds))
            self._refuse_vectors("student", of_student, of_own)
            self._refuse_vectors("teacher", of_teacher, of_taught)
            adapters = self.adapters(of_own, of_taught, ctx)
            soft = self.softened(ctx.task)
            term = partial(self._term_of_each, ctx.task) if over_time and self.on_maps else self.term

            def loss(batch: Batch, outputs: Outputs) -> dict[str, Tensor]:
                answers = ctx.answers(teacher, batch)
                features = zip(own.features, taught.features, own_kinds, kinds, strict=True)
                pairs = [
                    vectors((s.float(), t.float()), (k, m), ctx.task, batch, self.dealt, self.counts())
                    for s, t, k, m in features
                ]
                mine, theirs = [s for s, _ in pairs], [t for _, t in pairs]
                parts = {self.label(): term(mine, theirs, batch, adapters)}
                return parts | soft(batch, outputs, answers) if self.soft_weight > 0 else parts

            yield adapters, loss

    def _term_of_each(
        self,
        task: TaskDescription,
        student: list[Tensor],
        teacher: list[Tensor],
        batch: Batch,
        adapters: nn.Module | None,
    ) -> torch.Tensor:
        """The mean over examples of the term of each by itself, its maps without the padding behind its end."""
        import torch

        from kdbench.techniques.tokens import own_lengths

        own = [own_lengths(one, task, batch) for one in student]
        taught = [None if (ends := own_lengths(one, task, batch)) is None else self.dealt(ends) for one in teacher]
        found = []
        for place in range(len(batch.index)):
            mine, its = (
                [
                    one[place : place + 1, ..., : None if ends is None else int(ends[place])]
                    for one, ends in zip(features, lengths, strict=True)
                ]
                for features, lengths in ((student, own), (teacher, taught))
            )
            found.append(self.term(mine, its, batch, adapters))
        return torch.stack(found).mean()

    def _refuse_mixing(self, over_time: bool) -> None:
        if over_time and self.mixes_places:
            raise TechniqueError(
                f"{self.label()} mixes the places of a map, and those behind an example's end would be among them; use "
                "fitnet or attention_transfer, or a task whose examples have one length."
            )

    def in_two_goes(self, model: nn.Module, ctx: Context, share: float) -> nn.Module:
        """Train on the method's own term for that share of the epochs, then on labels and softened outputs.

        The epochs add up to the recipe's. Layers behind the tapped ones (the classifier, say) do not train at first.
        """
        alone = self.model_copy(update={"ce_weight": 0.0, "soft_weight": 0.0})
        with alone.terms(model, ctx) as (extra, terms):
            ctx.fit(model, alone._weighted(terms, ctx.task), extra, part=(0.0, share))
        soft = self.softened(ctx.task)

        def softened(batch: Batch, outputs: Outputs) -> dict[str, Tensor]:
            return soft(batch, outputs, ctx.teacher(batch))

        second = self._weighted(softened if self.soft_weight > 0 else None, ctx.task)
        return ctx.fit(model, second, part=(share, 1.0))

    def _refuse_vectors(self, whose: str, paths: Paths, found: Sequence[Shape]) -> None:
        for path, shape in zip(paths, found, strict=True):
            if self.on_maps and len(shape) != 3:
                raise TechniqueError(
                    f"{self.label()} works on feature maps (C, H, W), but the {whose}'s layer '{path}' gives {shape}; "
                    "tap a layer that gives maps."
                )


class FeatureDistillation(TappedDistillation):
    """A method on several layers, named in lists."""

    student_layers: Paths | None = Field(None, min_length=1)
    """Module paths to tap in the student, each matched with the teacher's at the same place."""
    teacher_layers: Paths | None = Field(None, min_length=1)
    """Module paths to tap in the teacher."""

    @model_validator(mode="after")
    def _layers_in_pairs(self) -> Self:
        student, teacher = self.student_layers, self.teacher_layers
        if student is not None and teacher is not None and len(student) != len(teacher):
            raise ValueError(f"student_layers names {len(student)} layers, teacher_layers {len(teacher)}; name pairs")
        return self

    def named(self) -> tuple[Paths | None, Paths | None]:
        return self.student_layers, self.teacher_layers


class PairDistillation(TappedDistillation):
    """A method on one layer of each network."""

    student_layer: str | None = Field(None, min_length=1)
    """Module path to tap in the student."""
    teacher_layer: str | None = Field(None, min_length=1)
    """Module path to tap in the teacher."""

    def named(self) -> tuple[Paths | None, Paths | None]:
        student, teacher = self.student_layer, self.teacher_layer
        return (student,) if student else None, (teacher,) if teacher else None


class InitialDistillation(FeatureDistillation):
    """A method whose term only prepares the student, which then learns from labels."""

    init_fraction: float = Field(0.125, gt=0, lt=1)
    """The share of the epochs on the method's term alone, rounded up to whole ones; 0.125 is RepDistiller's 30 of 240,
    though it adds its 30 to the 240."""

    @model_validator(mode="after")
    def _something_afterwards(self) -> Self:
        if self.ce_weight == 0 and self.soft_weight == 0:
            raise ValueError("after its first go the student learns from labels or outputs; raise ce_weight")
        return self

    def apply(self, model: nn.Module, ctx: Context) -> nn.Module:
        if self.kd_weight == 0:
            return super().apply(model, ctx)
        return self.in_two_goes(model, ctx, self.init_fraction)
