"""The network of `table_mlp`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from kdbench.models._heads import last_layer
from kdbench.models.columns import Features
from kdbench.protocols import Output
from kdbench.protocols.columns import TableColumns


class TableNetwork(nn.Module):
    """Columns -> `features`, hidden layers `layer1`, `layer2`, ..., then `classifier`."""

    def __init__(
        self,
        columns: TableColumns,
        outputs: Sequence[Output],
        hidden: Sequence[int],
        dropout: float,
        embedding: int | None,
    ) -> None:
        super().__init__()
        self.features = Features(columns, embedding)
        sizes = (self.features.width, *hidden)
        self.hidden_count = len(hidden)
        for number, (before, after) in enumerate(pairwise(sizes), 1):
            dropped = [nn.Dropout(dropout)] if dropout else []
            self.add_module(f"layer{number}", nn.Sequential(nn.Linear(before, after), nn.ReLU(), *dropped))
        self.classifier = last_layer(sizes[-1], outputs)

    def forward(self, first: Tensor, second: Tensor | None = None) -> Tensor | tuple[Tensor, ...]:
        """Numbers and categories, or what the table has of them; by name, as the exporter takes no `*inputs`."""
        hidden = self.features(first) if second is None else self.features(first, second)
        for number in range(1, self.hidden_count + 1):
            hidden = self.get_submodule(f"layer{number}")(hidden)
        answer: Tensor | tuple[Tensor, ...] = self.classifier(hidden)
        return answer
