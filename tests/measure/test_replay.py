"""Calls that replay a captured graph, on a device of our own making: the bookkeeping needs no GPU."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from kdbench.errors import MeasureError
from kdbench.measure.runtimes import bound_calls
from kdbench.measure.runtimes.bound_calls import ReplayedSession


class Value:
    """Memory on the device."""

    def __init__(self, array: Any) -> None:
        self.array = np.array(array)

    @classmethod
    def ortvalue_from_numpy(cls, array: Any, device: str, number: int) -> "Value":
        return cls(array)

    @classmethod
    def ortvalue_from_shape_and_type(cls, shape: list[int], kind: Any, device: str, number: int) -> "Value":
        return cls(np.zeros(shape, kind))

    def update_inplace(self, array: Any) -> None:
        self.array[...] = array

    def numpy(self) -> Any:
        return self.array.copy()


class RunOptions:
    def __init__(self) -> None:
        self.graph = ""

    def add_run_config_entry(self, name: str, value: str) -> None:
        assert name == "gpu_graph_id"
        self.graph = value


class Session:
    """Doubles its input. `replays` says what a captured graph does with the memory that it was captured with."""

    def __init__(self, stale: bool = False) -> None:
        self.graphs: list[str] = []
        self.captured: Any = None
        self.stale = stale

    def get_outputs(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name="y")]

    def io_binding(self) -> Any:
        values: dict[str, Value] = {}
        return SimpleNamespace(
            values=values,
            bind_ortvalue_input=values.__setitem__,
            bind_ortvalue_output=values.__setitem__,
            synchronize_outputs=lambda: None,
        )

    def run_with_iobinding(self, binding: Any, options: RunOptions) -> None:
        self.graphs.append(options.graph)
        result = 2 * binding.values["x"].array
        if self.stale and len(self.graphs) > 1:
            result = result + 1
        binding.values["y"].array[...] = result


FEEDS = [{"x": np.full((2, 3), value, np.float32)} for value in (1, 5)]


@pytest.fixture(autouse=True)
def device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bound_calls, "onnxruntime", lambda: SimpleNamespace(OrtValue=Value, RunOptions=RunOptions))


def test_every_batch_goes_through_the_memory_that_was_captured() -> None:
    session = Session()
    replayed = ReplayedSession(session, FEEDS, [2 * FEEDS[0]["x"]])
    assert replayed.batch_count == 2
    for number, feed in enumerate(FEEDS):
        replayed.run(number)
        np.testing.assert_array_equal(replayed.outputs(number)[0], 2 * feed["x"])
    np.testing.assert_array_equal(replayed.outputs(0)[0], 2 * FEEDS[0]["x"])
    assert len(set(session.graphs)) == 1


def test_two_batch_sizes_are_two_graphs() -> None:
    session = Session()
    for feeds in (FEEDS, [{"x": np.ones((7, 3), np.float32)}]):
        ReplayedSession(session, feeds, [2 * feeds[0]["x"]])
    assert len(set(session.graphs)) == 2
    assert bound_calls.UNCAPTURED not in session.graphs


def test_a_graph_that_answers_otherwise_than_a_plain_run_is_refused() -> None:
    with pytest.raises(MeasureError, match=r"^the captured graph gives other answers than a plain run; leave 'graphs'"):
        ReplayedSession(Session(stale=True), FEEDS, [2 * FEEDS[0]["x"]])
