"""The base of techniques that change a trained network and then fine-tune it. Knows no such change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, ValidationError, model_validator

from kdbench import registry
from kdbench.errors import UnknownName
from kdbench.protocols import Context, Technique
from kdbench.protocols.field_errors import first_sentence
from kdbench.protocols.part import spec_of
from kdbench.techniques.distillation import Distillation

if TYPE_CHECKING:
    from torch import nn

Named = str | dict[str, dict[str, Any]]


def _checked(named: Named) -> Named:
    """The name as it came. Raises ValueError, a sentence, where no fine-tuning can take the loss of what it names."""
    if isinstance(named, dict) and len(named) != 1:
        raise ValueError("a distillation is a name, or one {name: {fields}}")
    name, _ = _parted(named)
    if registry.is_file(name):
        raise ValueError(f"'{name}' is a technique of a file, and only registered ones can stand here; register it")
    if not _built(named).one_loss:
        raise ValueError(f"{name} trains in goes of its own, so a fine-tuning cannot take its loss; use another")
    return named


def _parted(named: Named) -> tuple[str, dict[str, Any]]:
    return (named, {}) if isinstance(named, str) else next(iter(named.items()))


def _built(named: Named) -> Distillation:
    name, fields = _parted(named)
    try:
        cls = registry.resolve("technique", name)
    except UnknownName as error:
        raise ValueError(str(error)) from None
    if not issubclass(cls, Distillation):
        raise ValueError(f"{name} is no distillation, so it has no loss for a fine-tuning")
    try:
        built: Distillation = cls.from_fields(fields)
    except ValidationError as error:
        raise ValueError(first_sentence(error, cls, name, fields)) from None
    return built


Distil = Annotated[Named, AfterValidator(_checked)]
"""A registered distillation technique as a suite writes it: its name, or one {name: {fields}}."""


class Recovery(Technique):
    """Fine-tune what is left of a network, on labels or with the loss of a distillation technique.

    A technique changes the network and then calls `recover`.
    """

    roles: ClassVar[frozenset[str]] = frozenset({"finetune"})

    distil: Distil | None = None
    """A distillation technique whose loss the fine-tuning minimises: a name, or {name: {fields}}. Default: labels."""
    finetuned: bool = True
    """Whether the network is fine-tuned; `false` shows how much accuracy the change itself costs."""

    @model_validator(mode="after")
    def _distils_in_training(self) -> Self:
        if self.distil is not None and not self.finetuned:
            raise ValueError("with finetuned false nothing is trained, so distil has no effect; leave one of them out")
        return self

    def trains_under(self) -> frozenset[str]:
        return self.roles if self.finetuned else frozenset()

    def asks(self) -> frozenset[str]:
        """The needs of the technique and of its distillation."""
        taught = self.distillation()
        return self.needs if taught is None else self.needs | taught.asks()

    def unlabelled_folder(self) -> str | None:
        taught = self.distillation()
        return None if taught is None else taught.unlabelled_folder()

    def identity(self) -> dict[str, Any]:
        """The distillation stands as its version and every field. Raises KdbenchError where a file it names is gone."""
        taught = self.distillation()
        if self.distil is None or taught is None:
            return super().identity()
        name, _ = _parted(self.distil)
        return {**super().identity(), "distil": spec_of("technique", name, taught).located().identity()}

    def distillation(self) -> Distillation | None:
        """The technique that `distil` names."""
        return None if self.distil is None else _built(self.distil)

    def recover(
        self, model: nn.Module, ctx: Context, part: tuple[float, float] = (0.0, 1.0), recipe: str = "finetune"
    ) -> nn.Module:
        """Train under the recipe in that role, over a part of its epochs.

        Modules that the distillation trains beside the student (regressors, say) are new in each part, because the
        student's shapes may have changed before it.
        """
        if not self.finetuned:
            return model.eval()
        taught = self.distillation()
        if taught is None:
            return ctx.fit(model, recipe=recipe, part=part)
        with taught.objective(model, ctx) as (extra, loss):
            return ctx.fit(model, loss, extra, recipe=recipe, part=part)
