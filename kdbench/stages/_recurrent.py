"""How torch's exporter keeps recurrent layers as one operator each, at any length. Knows no stage."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch._decomp import decomposition_table

LSTM, GRU = torch.ops.aten.lstm.input, torch.ops.aten.gru.input


@contextmanager
def kept_whole(*shaped: Any) -> Iterator[None]:
    """While it lasts, LSTM and GRU layers are exported as they are, whatever ran before (torch 2.14).

    What ran before is remembered, and would be traced, unrolled over the example's length. And torch asks a step by
    step form of a layer for the shapes that it gives. Of an LSTM these have the example's length, as a number, which
    a program keeps and an ONNX file does not. Of a GRU, where the length is a formula of an input's (behind strided
    convolutions), that form adds tensors of different shapes, and the export fails.

    shaped: the layers, `LSTM` or `GRU`, whose shapes are told here instead.
    """
    step_by_step = {layer: (decomposition_table[layer], dict(layer.py_kernels)) for layer in shaped}
    _forget()
    for layer in shaped:
        decomposition_table[layer] = SHAPES[layer]
        layer.py_kernels.update(dict.fromkeys(layer.py_kernels, SHAPES[layer]))
    try:
        yield
    finally:
        for layer, (decomposed, kernels) in step_by_step.items():
            decomposition_table[layer] = decomposed
            layer.py_kernels.update(kernels)
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


def _shapes_of_lstm(
    x: Tensor,
    states: Sequence[Tensor],
    params: Sequence[Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Tensors of an LSTM's shapes: as a GRU's, and beside the last states those of its cells."""
    hidden, cells = states
    width = hidden.shape[2] * (2 if bidirectional else 1)
    return x.new_empty((x.shape[0], x.shape[1], width)), torch.empty_like(hidden), torch.empty_like(cells)


SHAPES: dict[Any, Callable[..., Any]] = {LSTM: _shapes_of_lstm, GRU: _shapes_of_gru}
