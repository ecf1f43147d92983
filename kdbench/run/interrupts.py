"""Ctrl-C and SIGTERM, which end a run only while it waits for its workers.

Anywhere else an interrupt could leave a file half written or a process half started, and libraries that it hits (such
as zipfile) raise errors of their own in its place.
"""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType, TracebackType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """A context that holds an interrupt back until the next `heeded()`, where it is a KeyboardInterrupt.

    A second interrupt is one at once.
    """

    def __init__(self) -> None:
        self._heeded = self._held = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> "Interrupts":
        if threading.current_thread() is threading.main_thread():  # no other thread is ever interrupted
            wanted = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
            self._before = {number: signal.signal(number, self._arrived) for number in wanted}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Raises KeyboardInterrupt for an interrupt that was held back to the end."""
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal gave
        if self._held and kind is None:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def heeded(self) -> Iterator[None]:
        """A context in which an interrupt raises KeyboardInterrupt; on entry, one that was held back does."""
        self._heeded = True
        try:
            if self._held:
                raise KeyboardInterrupt
            yield
        finally:
            self._heeded = False

    def _arrived(self, number: int, frame: FrameType | None) -> None:
        if self._heeded or self._held:
            raise KeyboardInterrupt
        self._held = True
