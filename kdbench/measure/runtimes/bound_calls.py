"""Calls whose memory is placed once, before they are timed; it knows no provider and no clock."""

from __future__ import annotations

import itertools
from typing import Any

from kdbench.errors import MeasureError
from kdbench.measure.runtimes.contract import Feed
from kdbench.measure.runtimes.onnxruntime_import import first_line, onnxruntime, runtime_errors

REPLAYS_CHECKED = 3
UNCAPTURED = "-1"
"""The graph number of a call that neither captures nor replays one."""


class BoundSession:
    """Pre-bound calls of one session at one batch size; `run` does nothing but the call."""

    def __init__(self, session: Any, bindings: list[Any], feeds: list[Feed], wait: bool) -> None:
        self.batch_count = len(bindings)
        self._bindings = bindings
        self._feeds = feeds  # a binding reads this memory and does not keep it alive in every version
        self._run = session.run_with_iobinding
        self._errors = runtime_errors()
        self._wait = wait

    def run(self, batch_number: int) -> None:
        """One call on the batch of that number, finished when this returns. Raises MeasureError where it fails."""
        binding = self._bindings[batch_number]
        try:
            self._run(binding)
            if self._wait:
                binding.synchronize_outputs()
        except self._errors as error:
            raise MeasureError(f"a timed call failed: {first_line(error)}") from None

    def outputs(self, batch_number: int) -> list[Any]:
        """All outputs of the last call on the batch of that number, in host memory; asked when nothing is timed."""
        outputs: list[Any] = self._bindings[batch_number].copy_outputs_to_cpu()
        return outputs


class ReplayedSession:
    """Calls of one session at one batch size that replay one captured graph of kernels.

    Inputs are copied into its memory and outputs out of it in every call, as other sessions do, so that times compare.
    Raises MeasureError where the captured graph answers otherwise than a plain run did.
    """

    _numbers = itertools.count(1)
    """Numbers of captured graphs: every batch size of a session has a graph of its own."""

    def __init__(self, session: Any, feeds: list[Feed], expected: list[Any]) -> None:
        self.batch_count = len(feeds)
        self._feeds = feeds
        self._answers: dict[int, list[Any]] = {}
        self._session = session
        self._errors = runtime_errors()
        self._options = run_options(str(next(self._numbers)))
        place = onnxruntime().OrtValue
        self._inputs = {name: place.ortvalue_from_numpy(array, "cuda", 0) for name, array in feeds[0].items()}
        self._outputs = [place.ortvalue_from_shape_and_type(list(out.shape), out.dtype, "cuda", 0) for out in expected]
        self._binding = session.io_binding()
        for name, value in self._inputs.items():
            self._binding.bind_ortvalue_input(name, value)
        for node, value in zip(session.get_outputs(), self._outputs):
            self._binding.bind_ortvalue_output(node.name, value)
        self._check(expected)

    def run(self, batch_number: int) -> None:
        """One call on the batch of that number, its outputs in host memory. Raises MeasureError where it fails."""
        try:
            for name, array in self._feeds[batch_number].items():
                self._inputs[name].update_inplace(array)
            self._session.run_with_iobinding(self._binding, self._options)
            self._binding.synchronize_outputs()
            self._answers[batch_number] = [value.numpy() for value in self._outputs]
        except self._errors as error:
            raise MeasureError(f"a timed call failed: {first_line(error)}") from None

    def outputs(self, batch_number: int) -> list[Any]:
        """All outputs of the last call on the batch of that number."""
        return self._answers[batch_number]

    def _check(self, expected: list[Any]) -> None:
        """The first call captures; those after it replay."""
        import numpy

        for _ in range(REPLAYS_CHECKED):
            self.run(0)
            for answer, wanted in zip(self.outputs(0), expected):
                if not numpy.allclose(answer, wanted, rtol=1e-3, atol=1e-4):
                    raise MeasureError("the captured graph gives other answers than a plain run; leave 'graphs' out.")


def run_options(graph: str) -> Any:
    """The options of a call that captures or replays the graph of that number, or neither (`UNCAPTURED`)."""
    options = onnxruntime().RunOptions()
    options.add_run_config_entry("gpu_graph_id", graph)
    return options


def binding_of(session: Any, feed: Feed, outputs: list[Any]) -> Any:
    """Inputs share the feed's memory; outputs get memory of their own, shaped as `outputs`."""
    make = onnxruntime().OrtValue
    binding = session.io_binding()
    for name, array in feed.items():
        binding.bind_ortvalue_input(name, make.ortvalue_from_numpy(array))
    for node, output in zip(session.get_outputs(), outputs):
        memory = make.ortvalue_from_shape_and_type(list(output.shape), output.dtype)
        binding.bind_ortvalue_output(node.name, memory)
    return binding
