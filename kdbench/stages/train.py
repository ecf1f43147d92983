"""The train stage: a model with new weights learns from the labels. From-scratch students and teachers."""

from kdbench.stages import _models
from kdbench.stages._context import StageContext
from kdbench.stages._work import Fact, Work


def train(work: Work) -> list[Fact]:
    """Train the model part under the recipe in role "train"."""
    ctx = StageContext(work)
    part = work.spec.parts["model"]
    model = ctx.fit(_models.fresh(part, ctx.task, ctx.seed))
    _models.save(model, part, work.out)
    ctx.clean()
    return ctx.training_facts()
