"""Rounds, warm-up and their end, on sessions whose every call has a known length on a clock of their own."""

import gc

import pytest

from kdbench.errors import MeasureError
from kdbench.measure.clock import TOO_FEW, Rule, time_rounds
from kdbench.stats import percentile

QUICK = Rule(warmup_min_calls=2, warmup_min_ns=0, round_call_count=5, min_calls=10, min_ns=0)


class World:
    """A clock that only calls move, and the calls in the order they came."""

    def __init__(self) -> None:
        self.now_ns = 1000
        self.calls: list[tuple[str, int]] = []

    def clock(self) -> int:
        return self.now_ns

    def names(self) -> str:
        return "".join(name for name, _ in self.calls)


class Session:
    def __init__(self, world: World, name: str, *delays_ns: int, batch_count: int = 1, fails_at: int = -1) -> None:
        self.world, self.name, self.delays_ns, self.batch_count = world, name, delays_ns, batch_count
        self.fails_at, self.count = fails_at, 0

    def run(self, batch_number: int) -> None:
        if self.count == self.fails_at:
            raise MeasureError("a timed call failed: out of memory")
        self.world.calls.append((self.name, batch_number))
        self.world.now_ns += self.delays_ns[min(self.count, len(self.delays_ns) - 1)]
        self.count += 1


def test_samples_are_the_known_delays_and_warm_up_is_cut_off() -> None:
    world = World()
    delays = [900, 700, *range(1, 101)]
    (timing,) = time_rounds(
        [Session(world, "a", *delays)], Rule(2, 0, round_call_count=50, min_calls=100, min_ns=0), clock=world.clock
    )
    assert timing.warmup_ns == [900, 700]
    assert timing.samples_ns == list(range(1, 101))
    assert percentile(timing.samples_ns, 0.5) == 50.5
    assert percentile(timing.samples_ns, 0.9) == pytest.approx(90.1)


def test_warm_up_gives_each_file_its_calls_and_the_processor_its_time() -> None:
    world = World()
    rule = Rule(warmup_min_calls=3, warmup_min_ns=300, round_call_count=1, min_calls=1, min_ns=0)
    slow, fast = time_rounds([Session(world, "s", 60), Session(world, "f", 10)], rule, clock=world.clock)
    assert (slow.warmup_call_count, fast.warmup_call_count) == (6, 6)
    assert (slow.warmup_total_ns, fast.warmup_total_ns) == (360, 60)


def test_of_a_long_warm_up_the_first_calls_alone_are_kept_and_the_time_of_all() -> None:
    world = World()
    rule = Rule(warmup_min_calls=3, warmup_min_ns=1000, round_call_count=1, min_calls=1, min_ns=0)
    (fast,) = time_rounds([Session(world, "f", 30, 20, 10)], rule, clock=world.clock)
    assert fast.warmup_ns == [30, 20, 10]
    assert fast.warmup_call_count == 99  # 30 + 20 + 10, then tens until three calls a turn reach 1,000
    assert fast.warmup_total_ns == 1020


def test_rounds_interleave_the_files_and_alternate_their_direction() -> None:
    world = World()
    time_rounds([Session(world, "a", 1), Session(world, "b", 1)], QUICK, clock=world.clock)
    assert world.names() == "aabb" + "aaaaabbbbb" + "bbbbbaaaaa"


def test_odd_processes_begin_backward() -> None:
    world = World()
    time_rounds([Session(world, "a", 1), Session(world, "b", 1)], QUICK, process=1, clock=world.clock)
    assert world.names() == "aabb" + "bbbbbaaaaa" + "aaaaabbbbb"


def test_inputs_rotate_on_from_round_to_round() -> None:
    world = World()
    time_rounds([Session(world, "a", 1, batch_count=3)], QUICK, clock=world.clock)
    assert [number for _, number in world.calls] == [0, 1, *[0, 1, 2] * 3, 0]


def test_files_share_every_round_until_their_mean_time_is_enough() -> None:
    world = World()
    rule = Rule(0, 0, round_call_count=5, min_calls=10, min_ns=1000)
    slow, fast = time_rounds([Session(world, "s", 100), Session(world, "f", 10)], rule, clock=world.clock)
    assert len(slow.samples_ns) == len(fast.samples_ns) == 20  # 4 rounds of 550 reach 2 x 1000
    assert slow.warnings == fast.warnings == []


def test_rounds_end_at_the_longest_time_and_say_what_is_missing() -> None:
    world = World()
    rule = Rule(0, 0, round_call_count=5, min_calls=1000, min_ns=0, max_ns=2000)
    slow, fast = time_rounds([Session(world, "s", 100), Session(world, "f", 1)], rule, clock=world.clock)
    assert len(slow.samples_ns) == len(fast.samples_ns) == 20
    assert slow.warnings == fast.warnings == [TOO_FEW]


def test_warm_up_ends_at_the_longest_time_too() -> None:
    world = World()
    rule = Rule(warmup_min_calls=50, warmup_min_ns=0, round_call_count=1, min_calls=1, min_ns=0, max_ns=300)
    (timing,) = time_rounds([Session(world, "s", 100)], rule, clock=world.clock)
    assert timing.warmup_ns == [100, 100, 100]


def test_a_call_that_fails_ends_its_file_alone() -> None:
    world = World()
    bad, good = time_rounds([Session(world, "b", 1, fails_at=8), Session(world, "g", 1)], QUICK, clock=world.clock)
    assert bad.error == "a timed call failed: out of memory"
    assert good.error is None
    assert len(good.samples_ns) == 10


def test_processor_time_is_read_once_a_round() -> None:
    world = World()
    (timing,) = time_rounds([Session(world, "a", 7)], QUICK, clock=world.clock, cpu_clock=lambda: world.now_ns // 7 * 2)
    assert timing.thread_cpu_ns == [10, 10]


def test_the_garbage_collector_rests_while_timing_and_only_then() -> None:
    seen: list[bool] = []
    world = World()

    def clock() -> int:
        seen.append(gc.isenabled())
        return world.now_ns

    time_rounds([Session(world, "a", 1)], QUICK, clock=clock)
    assert not any(seen)
    assert gc.isenabled()


def test_no_file_at_all_takes_no_round() -> None:
    assert time_rounds([], QUICK) == []
