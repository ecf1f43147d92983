"""Where the processor time of a plain training's step goes, operator by operator."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from stages import PRECISIONS, Bench, Pair
from torch import nn
from torch.profiler import ProfilerActivity, profile

from kdbench.training import loop

Shares = dict[str, dict[str, float]]
"""Way of training -> operator -> milliseconds of a step."""
GROUPS = {
    "convolution": ("aten::mkldnn_convolution", "aten::convolution", "aten::_convolution"),
    "convolution, backward": ("aten::convolution_backward",),
    "BatchNorm": ("aten::native_batch_norm",),
    "BatchNorm, backward": ("aten::native_batch_norm_backward",),
    "ReLU": ("aten::clamp_min", "aten::relu"),
    "ReLU, backward": ("aten::threshold_backward",),
    "SGD": ("Optimizer.step#SGD.step", "aten::_foreach_add_", "aten::_foreach_mul_"),
    "copies and casts": ("aten::copy_", "aten::_to_copy", "aten::to"),
}
AROUND = ("SGD", "copies and casts")
"""Groups of what is done around a network's kernels."""
OTHER = "everything else"
BEFORE = "before"
"""As it was before pooled gradients were laid out as the features are."""


def shares(bench: Bench, pair: Pair) -> Shares:
    """Milliseconds of a step by operator, in each precision, before and now."""
    found: Shares = {}
    for precision in PRECISIONS:
        with _as_before():
            found[f"{precision}, {BEFORE}"] = _profiled(bench, pair, precision)
        found[precision] = _profiled(bench, pair, precision)
    return found


@contextmanager
def _as_before() -> Iterator[None]:
    now = loop.pooled_gradients_laid_out

    def untouched(model: nn.Module) -> nullcontext[None]:
        return nullcontext()

    loop.pooled_gradients_laid_out = untouched
    try:
        yield
    finally:
        loop.pooled_gradients_laid_out = now


def _profiled(bench: Bench, pair: Pair, precision: str) -> dict[str, float]:
    spec = bench.training(pair, "labels", precision)
    epoch = loop.Training._epoch
    found: dict[str, float] = {}

    def watched(training: loop.Training) -> None:
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            epoch(training)
        events = {event.key: event.self_cpu_time_total for event in profiler.key_averages()}
        named = {name: spent / 1e3 / training.steps_per_epoch for name, spent in events.items()}
        whole = sum(named.values())
        found.update({group: sum(named.get(name, 0.0) for name in names) for group, names in GROUPS.items()})
        found[OTHER] = whole - sum(found.values())

    torch.set_num_threads(1)
    loop.Training._epoch = watched  # type: ignore[method-assign]
    try:
        bench.forget(bench.run([spec]))
    finally:
        loop.Training._epoch = epoch  # type: ignore[method-assign]
    return found
