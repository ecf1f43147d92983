"""Deep mutual learning: students teach each other while they learn; there is no teacher."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from kdbench.protocols import Batch, Context, Effect, Loss, Outputs, TaskDescription
from kdbench.techniques.distillation import Distillation
from kdbench.techniques.output_kinds import EVERY_KIND, SOFTENED
from kdbench.techniques.teachers._architectures import Architecture, identity

if TYPE_CHECKING:
    from torch import Tensor, nn


class DeepMutualLearning(Distillation):
    """Train several students at once, each on the labels and on the others' outputs at that moment.

    loss of student k = ce_weight * CE(z_k, labels)
                        + kd_weight * T^2 / (K - 1) * sum over l != k of KL(softmax(z_l / T) || softmax(z_k / T))

    z_k: logits of student k of K, (B, classes); summed over the classes, averaged over the B examples. What the others
    say is constant in the gradient, so each loss moves its own student only. The result is student 1; the other
    K - 1 are trained beside it in the same steps, by the same optimiser settings, and dropped. The log has `ce` and
    `mutual` of student 1, and in `peers` the sum of the others' whole losses.

    Paper: Zhang et al. 2018, "Deep Mutual Learning", section 3 (formulation, optimisation, larger cohorts), with both
    weights 1 and no temperature. In the paper's algorithm 1 students are updated in turn, each before the next one
    sees its answers; here all answer first and are then updated together. Each student normalises with its own batch
    statistics, in training mode, as in any training. `ce_weight` cannot be 0: nobody would know the labels. Peers
    always compute in fp32, and the recipe's regularizer and its choice of an epoch look at student 1 alone.
    """

    paper: ClassVar[str] = "Zhang et al. 2018, Deep Mutual Learning, section 3"
    kinds: ClassVar[frozenset[str]] = EVERY_KIND - {"embedding"}
    by_kind: ClassVar[Mapping[str, str]] = {
        **SOFTENED,
        "values": "squared error to the other students' values, in units of their spread; no temperature",
        "embedding": "students that have no embedding yet have none to teach each other",
    }
    needs: ClassVar[frozenset[str]] = frozenset()
    effects: ClassVar[frozenset[Effect]] = frozenset({"teaching", "restart"})

    ce_weight: float = Field(1.0, gt=0)
    """Weight of each student's cross-entropy to the labels."""
    temperature: float = Field(1.0, gt=0)
    """T; 1, as in the paper, leaves the outputs as they are."""
    peers: int = Field(2, ge=2)
    """K: how many students learn together, the result included."""
    peer_model: Architecture | None = None
    """Architecture of the others: a registered model or one {name: {fields}}; by default the student's own."""

    def identity(self) -> dict[str, Any]:
        """The peers' model stands as its declaration. Raises KdbenchError where a weights file is gone."""
        return {**self.to_fields(), "peer_model": identity(self.peer_model) if self.peer_model is not None else None}

    def weight(self, term: str) -> float:
        return 1.0 if term == "peers" else self.kd_weight

    @contextmanager
    def terms(self, student: nn.Module, ctx: Context) -> Iterator[tuple[nn.Module | None, Loss]]:
        import torch
        from torch import nn

        from kdbench import functional as F

        others = nn.ModuleList(ctx.fresh(number, self.peer_model) for number in range(1, self.peers))

        def loss(batch: Batch, outputs: Outputs) -> dict[str, Tensor]:
            everyone = [outputs, *(F.outputs_of(other(*batch.inputs), other) for other in others)]
            mutual = [self._mutual(ctx.task, batch, everyone, own) for own in range(self.peers)]
            peers = zip(everyone[1:], mutual[1:], strict=True)
            losses = [self._of_peer(ctx.task, batch, answers, terms) for answers, terms in peers]
            return {**mutual[0], "peers": torch.stack(losses).sum()}

        yield others, loss

    def _mutual(self, task: TaskDescription, batch: Batch, everyone: Sequence[Outputs], own: int) -> dict[str, Tensor]:
        """Mean divergence of student number `own` from each of the others, a term an output."""
        import torch

        from kdbench import functional as F

        soft = partial(F.soft_distillation, temperature=self.temperature)
        others = [tuple(one.detach() for one in outputs) for number, outputs in enumerate(everyone) if number != own]
        found = [self.matched("mutual", task, batch, everyone[own], other, soft) for other in others]
        return {name: torch.stack([terms[name] for terms in found]).mean() for name in found[0]}

    def _of_peer(self, task: TaskDescription, batch: Batch, outputs: Outputs, mutual: dict[str, Tensor]) -> Tensor:
        """The whole loss of a student: on the labels, and on what the others say."""
        import torch

        from kdbench import functional as F

        labels = list(F.labels_loss(task, batch, outputs).values())
        mine = self.kd_weight * torch.stack(list(mutual.values())).sum()
        return self.ce_weight * torch.stack(labels).sum() + mine if labels else mine
