"""The base of every distillation inside transformers: its blocks, taps and layer map. Knows no formula."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from kdbench.errors import TechniqueError, nearest
from kdbench.protocols import Batch, Context, Layers, Loss, Outputs
from kdbench.protocols.model import Block
from kdbench.techniques.internal_distillation import Internal

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kdbench.techniques.taps import Taps

Paths = tuple[str, ...]
Part = Literal["hidden", "query", "key", "value", "embeddings"]
"""What can be tapped: hidden states, what goes into the heads, and the embeddings' output; each is (B, L, d)."""
Rule = Literal["uniform", "skip", "last", "first"]


@dataclass(frozen=True)
class Tokens:
    """What was tapped in a network's latest pass: for each part a tensor (B, L, d) a block, of embeddings one."""

    parts: Mapping[str, list[Tensor]]
    head_size: int = 1

    def __getitem__(self, part: Part) -> list[Tensor]:
        return self.parts[part]

    def in_heads(self, part: Part, block: int) -> Tensor:
        """Queries, keys or values of a block as (B, h, L, head_size)."""
        from kdbench import functional as F

        tensor = self.parts[part][block]
        return F.in_heads(tensor, tensor.shape[2] // self.head_size)


@dataclass
class _Tapped:
    """One network's blocks that take part, and its taps by part."""

    whose: str
    blocks: Sequence[Block]
    taps: dict[str, Taps] = field(default_factory=dict)

    def tokens(self) -> Tokens:
        """In fp32, whatever the training's precision."""
        parts = {part: [tensor.float() for tensor in taps.features] for part, taps in self.taps.items()}
        return Tokens(parts, self.blocks[0].head_size)


def pairs(rule: Rule, student: int, teacher: int) -> list[tuple[int, int]]:
    """(student's block, teacher's block) from 0, for M and N of them (`student`, `teacher`).

    uniform  student's m (from 1) with the teacher's m N / M, rounded: every block, the top ones with each other
    skip     the same without the top one
    last     with the teacher's last M
    first    with the teacher's first M
    """
    if rule in ("uniform", "skip"):
        found = [(m, (2 * (m + 1) * teacher + student) // (2 * student) - 1) for m in range(student)]
        return found if rule == "uniform" else found[:-1]
    return [(m, m + (teacher - student if rule == "last" else 0)) for m in range(student)]


class TransformerDistillation(Internal):
    """loss = ce_weight * CE(labels) + kd_weight * the method's terms + soft_weight * soft distillation.

    A method says which parts it reads (`reads`), which blocks it matches (`matched_blocks`), and its terms
    (`inner_terms`). Student and teacher see the same tokens. Taps are the outputs of the query, key and value layers,
    before any dropout; padding speaks nowhere.
    """

    works_on: ClassVar[Literal["anything", "texts", "transformers"]] = "transformers"

    student_layers: Paths | None = Field(None, min_length=1)
    """Blocks of the student by path, each matched with the teacher's at the same place; else by the method's rule."""
    teacher_layers: Paths | None = Field(None, min_length=1)
    """Blocks of the teacher by path."""

    @model_validator(mode="after")
    def _blocks_in_pairs(self) -> Self:
        student, teacher = self.student_layers, self.teacher_layers
        if (student is None) != (teacher is None):
            raise ValueError("student_layers and teacher_layers come together; name pairs, or leave both out")
        if student is not None and teacher is not None and len(student) != len(teacher):
            raise ValueError(f"student_layers names {len(student)} layers, teacher_layers {len(teacher)}; name pairs")
        return self

    def reads(self) -> frozenset[Part]:
        """The parts that the terms of this step are made of."""
        raise TypeError(f"{type(self).__name__} has no reads()")

    def matched_blocks(self, student: int, teacher: int) -> list[tuple[int, int]]:
        """Which blocks are matched where the suite names none, counted from 0."""
        raise TypeError(f"{type(self).__name__} has no matched_blocks()")

    def adapters(self, student: Tokens, teacher: Tokens) -> nn.Module | None:
        """Modules to train beside the student, for what a pass of two examples gave."""
        return None

    def check(self, student: Tokens, teacher: Tokens) -> None:
        """Raise TechniqueError where the method cannot compare two networks of these shapes."""

    def inner_terms(
        self, student: Tokens, teacher: Tokens, real: Tensor, adapters: nn.Module | None
    ) -> dict[str, Tensor]:
        """The method's terms without kd_weight. real: bool (B, L), False at padding."""
        raise TypeError(f"{type(self).__name__} has no inner_terms()")

    @contextmanager
    def terms(self, student: nn.Module, ctx: Context) -> Iterator[tuple[nn.Module | None, Loss]]:
        import torch

        from kdbench.techniques.taps import shapes
        from kdbench.techniques.tokens import real_tokens

        teacher, own, taught = ctx.teacher_module, *self._blocks(student, ctx)
        with ExitStack() as stack:
            for network, side, layers in ((student, own, ctx.student_layers), (teacher, taught, ctx.teacher_layers)):
                side.taps |= {
                    part: stack.enter_context(self._tap(network, side, layers, part)) for part in self.reads()
                }
                shapes(network, next(iter(side.taps.values())), ctx)
            mine, its = own.tokens(), taught.tokens()
            self._check_tokens(mine, its)
            self.check(mine, its)
            adapters = self.adapters(mine, its)
            soft = self.softened(ctx.task)

            def loss(batch: Batch, outputs: Outputs) -> dict[str, Tensor]:
                answers = ctx.answers(teacher, batch)
                given, dealt = own.tokens(), self._dealt(taught.tokens())
                some = next(iter(given.parts.values()))[0]
                real = real_tokens(some, ctx.task, batch)
                real = torch.ones(some.shape[:2], dtype=torch.bool, device=some.device) if real is None else real
                parts = self.inner_terms(given, dealt, real & self.dealt(real), adapters)
                return parts | soft(batch, outputs, answers) if self.soft_weight > 0 else parts

            yield adapters, loss

    def _dealt(self, tokens: Tokens) -> Tokens:
        return Tokens({part: list(map(self.dealt, found)) for part, found in tokens.parts.items()}, tokens.head_size)

    def _blocks(self, student: nn.Module, ctx: Context) -> tuple[_Tapped, _Tapped]:
        """The matched blocks of both networks."""
        own = present(ctx.student_layers, student, "student")
        taught = present(ctx.teacher_layers, ctx.teacher_module, "teacher")
        named = self.student_layers is not None
        ruled = [] if named or len(own) > len(taught) else self.matched_blocks(len(own), len(taught))
        chosen = matched(own, taught, self.student_layers, self.teacher_layers, ruled)
        if not chosen:
            raise TechniqueError(
                f"{self.label()} leaves the top block out, and the student has no other; give it more than one, or "
                "name the pairs with student_layers and teacher_layers."
            )
        return _Tapped("student", [s for s, _ in chosen]), _Tapped("teacher", [t for _, t in chosen])

    @contextmanager
    def _tap(self, network: nn.Module, side: _Tapped, layers: Layers, part: Part) -> Iterator[Taps]:
        from kdbench.techniques.taps import tapped

        place = "path" if part == "hidden" else part
        paths = (layers.embeddings,) if part == "embeddings" else [getattr(block, place) for block in side.blocks]
        with tapped(network, paths, side.whose) as taps:
            yield taps

    def _check_tokens(self, student: Tokens, teacher: Tokens) -> None:
        for part in student.parts:
            own, its = student.parts[part][0].shape, teacher.parts[part][0].shape
            if own[:2] != its[:2]:
                raise TechniqueError(
                    f"the student gives {own[1]} tokens an example, the teacher {its[1]}; {self.label()} compares "
                    "token by token, so both must have the same."
                )


def present(layers: Layers, network: nn.Module, whose: str) -> list[Block]:
    """The blocks that a network has: those of its architecture, without those that were dropped.

    Raises TechniqueError where the architecture names none.
    """
    modules = dict(network.named_modules())
    found = [block for block in layers.blocks if block.path in modules]
    if not found:
        raise TechniqueError(
            f"the {whose}'s architecture does not say where its attention is; take encoder, or a transformers model of "
            "the BERT family, or let layers() of your own model name its `blocks`."
        )
    return found


def matched(
    student: Sequence[Block],
    teacher: Sequence[Block],
    student_paths: Paths | None,
    teacher_paths: Paths | None,
    ruled: Sequence[tuple[int, int]],
) -> list[tuple[Block, Block]]:
    """Pairs of blocks: those that are named, else those of a rule, by place.

    Raises TechniqueError for a block that is not there, or a student deeper than the teacher, for which no rule says
    anything.
    """
    if student_paths is not None and teacher_paths is not None:
        both = zip(student_paths, teacher_paths, strict=True)
        return [(_named(student, s, "student"), _named(teacher, t, "teacher")) for s, t in both]
    if len(student) > len(teacher):
        raise TechniqueError(
            f"the student has {len(student)} blocks and the teacher {len(teacher)}; name the pairs with "
            "student_layers and teacher_layers."
        )
    return [(student[s], teacher[t]) for s, t in ruled]


def _named(blocks: Sequence[Block], path: str, whose: str) -> Block:
    by_path = {block.path: block for block in blocks}
    if path not in by_path:
        raise TechniqueError(f"the {whose} has no block '{path}'. {nearest(path, by_path)}")
    return by_path[path]
