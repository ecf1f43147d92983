"""When a run heeds Ctrl-C."""

import os
import signal

import pytest

from kdbench.run.interrupts import Interrupts

pytestmark = pytest.mark.skipif(os.name != "posix", reason="sends itself signals")


def interrupt(number: int = signal.SIGINT) -> None:
    os.kill(os.getpid(), number)


def test_an_interrupt_waits_until_the_run_waits() -> None:
    finished = []

    def run() -> None:
        with Interrupts() as interrupts:
            interrupt()
            finished.append("what was begun")
            with interrupts.heeded():
                finished.append("the wait")

    with pytest.raises(KeyboardInterrupt):
        run()
    assert finished == ["what was begun"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_wait_is_interrupted_at_once(number: int) -> None:
    with pytest.raises(KeyboardInterrupt), Interrupts() as interrupts, interrupts.heeded():
        interrupt(number)


def test_whoever_insists_is_not_kept_waiting() -> None:
    finished = []

    def run() -> None:
        with Interrupts():
            interrupt()
            finished.append("once")
            interrupt()
            finished.append("twice")

    with pytest.raises(KeyboardInterrupt):
        run()
    assert finished == ["once"]


def test_one_that_no_wait_came_after_is_not_lost() -> None:
    with pytest.raises(KeyboardInterrupt), Interrupts():
        interrupt()


def test_handlers_are_as_before_afterwards() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Interrupts():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before
