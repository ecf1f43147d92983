"""The train stage: a model learns from the labels alone. From-scratch students and teachers."""

from kdbench.stages import _estimators, _partial, torch_models
from kdbench.stages.context import StageContext
from kdbench.stages.work import Fact, Work


def train(work: Work) -> list[Fact]:
    """Train the model part under the recipe in role "train"."""
    ctx = StageContext(work)
    part = work.spec.parts["model"]
    if _estimators.is_estimator(part):
        return [_estimators.learn(work, ctx, part, lambda batch: batch.targets[0])]
    network = torch_models.fresh(part, ctx.task, ctx.seed).to(ctx.device)
    model = ctx.fit(network, _partial.labels_loss(part, ctx.task, work.recipe("train")))
    torch_models.save(model, part, work.out)
    ctx.clean()
    return ctx.training_facts()
