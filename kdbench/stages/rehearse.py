"""The rehearse stage: a row's chain on networks with new weights and one batch, in seconds, before anything is trained.

What cannot work (a layer that is not there, weights that do not fit, a loss that is no number, channels that cannot be
followed) is told here, and costs nobody a training. Nothing that is learned here is used.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from kdbench.errors import TrainingError, WeightsError
from kdbench.protocols import Batch, Loss, Technique
from kdbench.protocols.recipe import Recipe
from kdbench.stages import _partial, torch_models
from kdbench.stages.compress import applied
from kdbench.stages.context import StageContext, unnamed_role
from kdbench.stages.rehearsal import check_network
from kdbench.stages.work import Fact, Work
from kdbench.training import Examples, Training

EXAMPLE_COUNT = 16
"""Examples in the one batch: enough for BatchNorm and for losses between examples, and quick for large networks."""
ONE_STEP = Recipe(epochs=1, batch_size=EXAMPLE_COUNT, learning_rate=1e-6)


def rehearse(work: Work) -> list[Fact]:
    """Take the network of part "model" through the techniques of parts "step:0", "step:1" ... on one batch."""
    ctx = RehearsalContext(work)
    part = work.spec.parts["model"]
    network = torch_models.fresh(part, ctx.task, ctx.seed).to(ctx.device)
    check_network(network, ctx.first, ctx.task)
    steps = [role for role in work.spec.parts if role.startswith("step:")]
    changed_by = []
    try:
        if not steps or work.part(steps[0]).start == "trained":
            ctx.fit(network, _partial.labels_loss(part, ctx.task))
        for role in steps:
            technique: Technique = work.part(role)
            ctx.roles = technique.trains_under()
            network = applied(technique, network, ctx)
            if torch_models.restores(technique):
                changed_by.append(work.spec.parts[role])
    except (TrainingError, WeightsError) as error:  # of new weights, which say nothing of trained ones
        ctx.log.info("not rehearsed to the end: %s", error)
    if work.spec.settings["teaches"]:
        torch_models.save(network, part, work.out, changed_by)
    return []


class RehearsalContext(StageContext):
    """One batch in place of the data, and one step in place of a training."""

    def __init__(self, work: Work) -> None:
        super().__init__(work)
        self.roles = frozenset({"train"})
        """The recipes that the technique says it trains under."""
        count = self._data.arrays.count("train")
        chosen = np.unique(np.linspace(0, count - 1, EXAMPLE_COUNT).astype(np.int64))  # of as many classes as may be
        found = self._data.chosen(chosen, np.zeros_like(chosen), self.device)
        numbers = torch.arange(len(chosen), device=self.device)
        self._batch = replace(found, index=numbers, view=torch.zeros_like(numbers))

    def fit(
        self,
        model: nn.Module,
        loss: Loss | None = None,
        extra: nn.Module | None = None,
        recipe: str = "train",
        part: tuple[float, float] = (0.0, 1.0),
    ) -> nn.Module:
        """One step on the one batch."""
        if recipe not in self.roles:
            raise unnamed_role(recipe)
        placed = torch_models.placed(model, self.device, self.example)
        moved = extra.to(self.device) if extra is not None else None
        examples = Examples(train=lambda epoch: iter([self._batch]), validation=None, train_count=len(self._batch))
        Training(placed, ONE_STEP, self.task, examples, loss, moved).run()
        return model

    def unlabelled(self, batch_size: int) -> Iterator[Batch]:
        """The one batch, over and over, without its labels."""
        while True:
            yield replace(self._batch, targets=())

    @property
    def train(self) -> Iterator[Batch]:
        return iter([self._batch])

    @property
    def validation(self) -> Iterator[Batch]:
        return iter([self._batch])
