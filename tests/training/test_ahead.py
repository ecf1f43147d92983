"""Batches made ahead by a thread: the same ones in the same order, one ahead, and nothing left when nobody asks."""

import threading
from collections.abc import Iterator

import pytest

from kdbench.training.ahead import made_ahead


def counted(made: list[int], until: int = 5) -> Iterator[int]:
    for number in range(until):
        made.append(number)
        yield number


def test_the_same_items_in_the_same_order() -> None:
    assert list(made_ahead(counted([]))) == [0, 1, 2, 3, 4]
    assert list(made_ahead(iter([]))) == []


def test_the_next_item_is_made_while_the_one_before_is_worked_on() -> None:
    ready, went_on = threading.Event(), threading.Event()

    def items() -> Iterator[str]:
        yield "first"
        went_on.set()
        assert ready.wait(10)
        yield "second"

    found = made_ahead(items())
    assert next(found) == "first"
    assert went_on.wait(10), "nobody has asked for the second yet"
    ready.set()
    assert list(found) == ["second"]


def test_an_error_is_raised_where_the_items_are_taken() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("the disk is gone")

    found = made_ahead(items())
    assert next(found) == 1
    with pytest.raises(OSError, match="the disk is gone"):
        next(found)


def test_whoever_stops_asking_leaves_no_thread_and_few_items() -> None:
    before, made = threading.active_count(), []
    found = made_ahead(counted(made, 1000))
    assert next(found) == 0
    found.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
    assert len(made) <= 3
