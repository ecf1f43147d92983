"""Stages that go in step: several in one process, one at a time, so that what all of them ask is computed once.

Each has a thread of its own, and one thread at a time has the turn. At every batch a stage lets those go first that are
behind it, so that all are soon at the same batch. A stage finds the random states as it left them, and its clocks
count its own turns only, so that it gives what it would give alone, to the bit.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from kdbench.stages._shared_passes import SharedPasses
    from kdbench.stages.work import Work
    from kdbench.tasks.resident import ResidentSplit

Result = list[dict[str, Any]] | BaseException
"""A stage's facts, or why it has none."""

Function = Callable[["Work"], list[dict[str, Any]]]
Place = tuple[Any, ...]
"""Which batch a stage is at: epoch and step, each from 0, then what else decides the batch and how it is looked at."""
BEGINNING: Place = (-1,)
END: Place = (math.inf,)
SMALL_BATCH = 32
"""In a batch of fewer examples, layers round otherwise than in a larger one: a ResNet's and an MLP's outputs in fp32
differed in batches of 8 from those in batches of 256, and were equal to the bit in batches of 32, 61 and 64."""


class _Stopped(BaseException):
    """Ends the thread of a stage whose results nobody waits for any more."""


class Lockstep:
    """Whose turn it is, and what the stages share."""

    def __init__(self) -> None:
        self.passes: dict[tuple[Any, ...], SharedPasses] = {}
        """A teacher, and what it is shown -> its passes."""
        self.resident: dict[str, dict[Any, Mapping[str, ResidentSplit]]] = {}
        """Key of a task's data -> the device of a training -> the splits that lie there."""
        self._places: dict[Turn, Place] = {}
        """Where each stage is that has not ended."""
        self._current: Turn | None = None
        self._changed = threading.Condition()
        self._stopped = False

    def turn(self) -> Turn:
        """A turn for one more stage."""
        made = Turn(self)
        self._places[made] = BEGINNING
        return made

    @property
    def count(self) -> int:
        """How many stages have not ended."""
        return len(self._places)

    def start(self) -> None:
        """Give the first turn."""
        with self._changed:
            self._next()
            self._changed.notify_all()

    def stop(self) -> None:
        """End every stage at its next batch."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def begin(self, turn: Turn) -> None:
        """Wait for the first turn of a stage."""
        with self._changed:
            self._await(turn)

    def go_on(self, turn: Turn, place: Place) -> None:
        """Let those go first that are behind `place`."""
        with self._changed:
            if self._stopped:
                raise _Stopped
            self._places[turn] = place
            if len(self._places) == 1:
                return
            self._next()
            if self._current is not turn:
                left = _RandomStates()
                turn.pause()
                self._changed.notify_all()
                self._await(turn)
                left.restore()

    def end(self, turn: Turn) -> None:
        """A stage goes no further; the others do."""
        with self._changed:
            turn.pause()
            del self._places[turn]
            for passes in self.passes.values():
                passes.leave(turn)
            self._next()
            self._changed.notify_all()

    def _next(self) -> None:
        """The turn goes to the stage that is furthest behind, the first among equals."""
        self._current = min(self._places, key=self._places.__getitem__, default=None)

    def _await(self, turn: Turn) -> None:
        self._changed.wait_for(lambda: self._current is turn or self._stopped)
        if self._stopped:
            raise _Stopped
        turn.resume()


class Turn:
    """A stage's side of going in step: where it is, and how long its turns have been; alone it waits for nobody."""

    def __init__(self, lockstep: Lockstep) -> None:
        self.lockstep = lockstep
        self.at: tuple[object, Place] | None = None
        """The batch that the stage was handed last, and its place."""
        self._wall_ns = self._cpu_ns = 0
        """Time of earlier turns, less what others bear of it."""
        self._since: tuple[int, int] | None = None
        self.resume()

    @classmethod
    def alone(cls) -> Turn:
        """The turn of a stage that goes with no other."""
        return Lockstep().turn()

    def take(self, batch: object, place: Place) -> None:
        """Go on to a batch, once all others have come as far."""
        self.lockstep.go_on(self, place)
        self.at = (batch, place)

    @property
    def has_others(self) -> bool:
        """Whether other stages go in step with this one."""
        return self.lockstep.count > 1

    def let_others_end(self) -> None:
        """Go on when all others have ended, or wait for the same."""
        self.lockstep.go_on(self, END)

    def place_of(self, batch: object) -> Place | None:
        """The place of a batch as it was handed out; None for any other, one made from it included."""
        return self.at[1] if self.at is not None and self.at[0] is batch else None

    def clock(self) -> tuple[int, int]:
        """Nanoseconds by the wall's clock and of this process's processor time, in this stage's own turns."""
        wall, cpu = self._wall_ns, self._cpu_ns
        if self._since is not None:
            wall += time.perf_counter_ns() - self._since[0]
            cpu += time.process_time_ns() - self._since[1]
        return wall, cpu

    def bear(self, wall_ns: int, cpu_ns: int) -> None:
        """Add to the clock what another stage's turn did for this one, or, negative, take off what this one's did."""
        self._wall_ns += wall_ns
        self._cpu_ns += cpu_ns

    def pause(self) -> None:
        """Stop the clock."""
        (self._wall_ns, self._cpu_ns), self._since = self.clock(), None

    def resume(self) -> None:
        """Let the clock go on."""
        self._since = (time.perf_counter_ns(), time.process_time_ns())


class _RandomStates:
    """Every random state of the process that a technique or a network may draw from, as it is now."""

    def __init__(self) -> None:
        import torch

        self._python, self._numpy, self._torch = random.getstate(), np.random.get_state(), torch.get_rng_state()
        self._cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []

    def restore(self) -> None:
        import torch

        random.setstate(self._python)
        np.random.set_state(self._numpy)
        torch.set_rng_state(self._torch)
        if self._cuda:
            torch.cuda.set_rng_state_all(self._cuda)


def in_step(works: list[Work], function: Function) -> Iterator[tuple[Work, Result]]:
    """Run stages in step; each with its result, as they end. One that fails leaves the others going.

    Those that run out of memory go again when the others have ended, from their checkpoints and in step with each
    other; where none had room, in two halves.
    """
    if len(works) == 1:
        works[0].turn = Turn.alone()
        yield works[0], _attempt(works[0], function)
        return
    again: list[Work] = []
    yield from _that_had_room(works, function, again)
    middle = len(again) // 2 if len(again) == len(works) else 0
    for group in filter(None, (again[:middle], again[middle:])):
        for work in group:
            work.log.warning(
                "out of memory in step with %d others; it goes again with %d", len(works) - 1, len(group) - 1
            )
        yield from in_step(group, function)


def _that_had_room(works: list[Work], function: Function, again: list[Work]) -> Iterator[tuple[Work, Result]]:
    """Results, but of those that ran out of memory, which are added to `again`.

    What they raised is dropped here: its traceback would keep their tensors.
    """
    for work, result in _together(works, function):
        if _is_shortage(result):
            again.append(work)
        else:
            yield work, result


def _together(works: list[Work], function: Function) -> Iterator[tuple[Work, Result]]:
    lockstep, ended = Lockstep(), SimpleQueue[tuple["Work", Result]]()

    def go(work: Work) -> None:
        result: Result = _Stopped()
        try:
            lockstep.begin(work.turn)
            result = _attempt(work, function)
        except _Stopped:
            pass
        finally:
            lockstep.end(work.turn)
            ended.put((work, result))

    for work in works:
        work.turn = lockstep.turn()
        work.turn.pause()
    threads = [threading.Thread(target=go, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    lockstep.start()
    try:
        for _ in works:
            yield ended.get()
    finally:
        lockstep.stop()
        for thread in threads:
            thread.join()


def _attempt(work: Work, function: Function) -> Result:
    """The one boundary where whatever a stage raises becomes its result: user code that calls sys.exit, too."""
    try:
        return function(work)
    except (Exception, SystemExit) as error:
        return error


def _is_shortage(result: Any) -> bool:
    """Whether a stage ended for want of memory."""
    import torch

    return isinstance(result, MemoryError | torch.OutOfMemoryError)
