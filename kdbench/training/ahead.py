"""The next batch made while the device works on this one. Never run beside a GPU so far."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from queue import Full, Queue
from typing import Generic, TypeVar

import torch

T = TypeVar("T")
TICK_SECONDS = 0.1


def made_ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items in the same order, one made ahead by a thread of its own; what that raises is raised here.

    The items must not depend on what is done with those before them, nor draw from a random state of the process.
    """
    made: Queue[_Made[T]] = Queue(maxsize=1)
    stopped = threading.Event()

    def make() -> None:
        torch.set_num_threads(1)  # a new thread would take every core
        end: _Made[T] = _Made([], None)
        try:
            for item in items:
                if not _handed(made, _Made([item], None), stopped):
                    return
        except BaseException as error:  # it is raised where the items are taken
            end = _Made([], error)
        _handed(made, end, stopped)

    thread = threading.Thread(target=make, daemon=True)
    thread.start()
    try:
        while (latest := made.get()).items:
            yield latest.items[0]
        if latest.error is not None:
            raise latest.error
    finally:
        stopped.set()
        thread.join()


@dataclass(frozen=True)
class _Made(Generic[T]):
    """An item, or the end of them, and why there are no more where it was an error."""

    items: list[T]
    error: BaseException | None


def _handed(made: "Queue[_Made[T]]", item: _Made[T], stopped: threading.Event) -> bool:
    """Put an item where it is taken from; False when nobody takes any more."""
    while not stopped.is_set():
        try:
            made.put(item, timeout=TICK_SECONDS)
            return True
        except Full:
            continue
    return False
