"""How torch's exporter keeps recurrent layers as one operator each, at any length. Knows no stage."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch._decomp import decomposition_table

LSTM, GRU = torch.ops.aten.lstm.input, torch.ops.aten.gru.input


@contextmanager
def kept_whole() -> Iterator[None]:
    """While it lasts, LSTM and GRU layers are exported as they are, whatever ran before (torch 2.14).

    What ran before is remembered, and would be traced, unrolled over the example's length. And torch asks a step by
    step form of a GRU for the shapes that it gives; where the length is a formula of an input's (behind strided
    convolutions) that form adds tensors of different shapes, and the export fails.
    """
    step_by_step, kernels = decomposition_table[GRU], dict(GRU.py_kernels)
    _forget()
    decomposition_table[GRU] = _shapes_of_gru
    GRU.py_kernels.update(dict.fromkeys(kernels, _shapes_of_gru))
    try:
        yield
    finally:
        decomposition_table[GRU] = step_by_step
        GRU.py_kernels.update(kernels)
        _forget()


def _forget() -> None:
    for layer in (LSTM, GRU):
        layer._dispatch_cache.clear()


def _shapes_of_gru(
    x: Tensor,
    hidden: Tensor,
    params: Sequence[Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Tensor, Tensor]:
    """Tensors of a GRU's shapes: (B, T, width) or (T, B, width), and the last states (layers, B, width)."""
    width = hidden.shape[2] * (2 if bidirectional else 1)
    return x.new_empty((x.shape[0], x.shape[1], width)), torch.empty_like(hidden)
