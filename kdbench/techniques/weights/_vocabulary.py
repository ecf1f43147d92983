"""An embedding with fewer rows than ids, and how a vocabulary is cut. Knows no technique."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from kdbench.errors import TechniqueError
from kdbench.protocols import Batch, Context, TaskDescription
from kdbench.techniques.surgery_check import answers, check_same

TABLE = "rows_of_ids"
"""The buffer's name, by which a trimmed embedding is known in a state dict."""
EXAMPLES = 256
"""Texts among which one without an unknown token is looked for."""


class TrimmedEmbedding(nn.Module):
    """Ids (B, L) -> (B, L, width), by a table id -> row; several ids may share one."""

    rows_of_ids: Tensor

    def __init__(self, table: Tensor, weight: Tensor) -> None:
        """table: int32 (ids,); weight: (rows, width)."""
        super().__init__()
        self.register_buffer(TABLE, table)
        self.weight = nn.Parameter(weight)

    def forward(self, ids: Tensor) -> Tensor:
        return nn.functional.embedding(self.rows_of_ids[ids], self.weight)


@torch.no_grad()
def trim(model: nn.Module, ctx: Context, least_count: int) -> nn.Module:
    """The model with the rows of tokens that occur as often in the training split, and of padding and unknown ones.

    Raises TechniqueError where every row stays, or an answer to a text of known tokens changed.
    """
    path = ctx.student_layers.vocabulary
    whole = model.get_submodule(path)
    assert isinstance(whole, nn.Embedding), "refused before"
    counts = _counts(ctx.train, ctx.task, whole.num_embeddings)
    unknown = _unknown(ctx.task)
    stays = counts >= least_count
    stays[[int(ctx.task.inputs[_place(ctx.task)].padding), *([] if unknown is None else [unknown])]] = True
    gone = int((~stays).sum())
    if not gone:
        raise TechniqueError(
            f"nothing was removed: all {len(stays):,} tokens occur {least_count} times; raise least_count."
        )
    rows = whole.weight[stays]
    if unknown is None:
        rows = torch.cat([rows, whole.weight[~stays].mean(0, keepdim=True)])
    table = stays.cumsum(0) - 1
    table[~stays] = len(rows) - 1 if unknown is None else table[unknown]
    known = _known_texts(ctx.train, ctx.task, stays)
    expected = answers(model, known) if known is not None else None
    trimmed = TrimmedEmbedding(table.to(torch.int32), rows.clone())
    model.set_submodule(path, trimmed.to(whole.weight.device))
    if known is not None and expected is not None:
        check_same(expected, answers(model, known), "a text whose tokens all stay must be answered as before")
    ctx.note(_told(gone, stays, _counts(ctx.validation, ctx.task, len(stays))))
    return model


def _told(gone: int, stays: Tensor, counts: Tensor) -> str:
    lost, every = int(counts[~stays].sum()), int(counts.sum())
    share = f" ({100 * lost / every:.1f}%)" if every else ""
    return (
        f"{gone:,} of {len(stays):,} tokens went; {lost:,} of the validation split's {every:,} tokens{share} became "
        "unknown."
    )


def _place(task: TaskDescription) -> int:
    """Which input holds the ids."""
    return next(n for n, one in enumerate(task.inputs) if one.role == "values" and one.dtype == "int64")


def _counts(batches: Iterable[Batch], task: TaskDescription, size: int) -> Tensor:
    """How often each id occurs, padding left out: int64 (size,)."""
    place, total = _place(task), torch.zeros(size, dtype=torch.int64)
    axis = task.inputs[place].symbolic
    for batch in batches:
        ids = batch.inputs[place]
        real = batch.mask(axis, ids.shape[1]) if axis in batch.lengths else torch.ones_like(ids, dtype=torch.bool)
        total += torch.bincount(ids[real].cpu(), minlength=size)
    return total


def _known_texts(batches: Iterable[Batch], task: TaskDescription, stays: Tensor) -> tuple[Tensor, ...] | None:
    """The inputs of the first few training texts whose tokens all stay; None where there is none among them."""
    batch = next(iter(batches))
    ids = batch.inputs[_place(task)][:EXAMPLES]
    whole = stays.to(ids.device)[ids].all(1).nonzero()[:16, 0]
    return tuple(tensor[whole] for tensor in batch.inputs) if len(whole) else None


def _unknown(task: TaskDescription) -> int | None:
    """The tokenizer's id of unknown tokens, where the task says one."""
    said = task.settings.get("text")
    found = said.get("unknown") if isinstance(said, dict) else None
    return found if isinstance(found, int) else None


def with_tables(network: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """The network with a trimmed embedding wherever `state` has a table."""
    for name in state:
        path, _, last = name.rpartition(".")
        if last == TABLE:
            weight = state[f"{path}.weight"]
            network.set_submodule(path, TrimmedEmbedding(torch.zeros_like(state[name]), torch.zeros_like(weight)))
    return network
