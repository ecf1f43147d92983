"""Files on providers that take only fixed shapes: one session of onnxruntime for each shape of the inputs."""

from __future__ import annotations

from typing import Any, Callable

from kdbench.errors import MeasureError
from kdbench.measure.runtimes import onnxruntime_import
from kdbench.measure.runtimes.contract import Bound, Feed, Session

Axes = dict[str, dict[int, str]]
"""Input -> place of a free axis -> its name."""


class FixedShapesSession(Session):
    """One ONNX file whose free axes are fixed as each feed has them; shapes seen before have their session already.

    Whether the provider takes the file shows at the first feed, when its first session is opened. Raises MeasureError.
    """

    def __init__(self, path: str, provider_asked: str, open_at: Callable[[dict[str, int]], Session]) -> None:
        """`open_at`: name of a free axis -> its size, to the session of that shape."""
        self.path = path
        self.provider_asked = provider_asked
        self.providers_got = [provider_asked]
        self._open_at = open_at
        self._axes = free_axes(path)
        self.input_names = list(self._axes)
        self._sessions: dict[tuple[int, ...], Session] = {}

    def run(self, feed: Feed) -> list[Any]:
        """All outputs for one batch. Raises MeasureError where it cannot run."""
        return self._opened(feed).run(feed)

    def bind(self, feeds: list[Feed]) -> Bound:
        """Calls whose inputs are placed once; all feeds have one shape."""
        return self._opened(feeds[0]).bind(feeds)

    def proof(self, feed: Feed) -> dict[str, Any]:
        """Proof of one call as far as it goes without a profile."""
        return self._opened(feed).proof(feed)

    def _opened(self, feed: Feed) -> Session:
        sizes = sizes_of(self._axes, self.own(feed))
        shape = tuple(sizes.values())
        if shape not in self._sessions:
            self._sessions[shape] = self._open_at(sizes)
            self.providers_got = self._sessions[shape].providers_got
        return self._sessions[shape]


def free_axes(path: str) -> Axes:
    """The free axes of a file's inputs; every input stands there. Raises MeasureError where the file does not load.

    Without optimizations a session on the CPU reads the file and does little else.
    """
    runtime = onnxruntime_import.onnxruntime()
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except onnxruntime_import.runtime_errors() as error:
        raise MeasureError(f"onnxruntime cannot load {path}: {onnxruntime_import.first_line(error)}") from None
    return {
        node.name: {place: size for place, size in enumerate(node.shape) if isinstance(size, str)}
        for node in session.get_inputs()
    }


def sizes_of(axes: Axes, feed: Feed) -> dict[str, int]:
    """Name of a free axis -> its size in a feed."""
    return {name: feed[key].shape[place] for key, places in axes.items() for place, name in places.items()}
