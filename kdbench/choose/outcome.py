"""What a choice says: each device's pick, what else fits, what is in the way, how sure it is. Decides nothing."""

from dataclasses import dataclass

from kdbench.choose.everywhere import OneForAll
from kdbench.choose.offers import Offer
from kdbench.evidence import Finding, Setting
from kdbench.results.records import CallSize
from kdbench.scale import Scale
from kdbench.suite.limits import Limits


@dataclass(frozen=True)
class Miss:
    """A case that is beyond a limit; both numbers in base units (ns, bytes, the metric's own)."""

    case: str
    limit: str
    value: float
    bound: float
    alone: bool
    """Whether this limit is the only one it misses."""
    is_share: bool = False
    """Whether both are shares of the baseline's value of the metric."""


@dataclass(frozen=True)
class DeviceChoice:
    """The choice on one device at one batch size."""

    target: str
    batch_size: int
    lengths: dict[str, int]
    """The examples' lengths that it holds at, by axis; empty where they do not vary."""
    limits: Limits
    split: str
    """The one it was chosen on: "validation", or "test" where nothing else was recorded."""
    is_validation_seen: bool
    """Whether validation was passed over: a case starts from weights that may have been trained on it."""
    split_value: dict[str, float]
    """Candidate -> its value of the metric on that split, mean over seeds."""
    baseline_value: float | None
    """The suite's baseline's value there; None where it lacks a seed."""
    pick: Offer | None
    """None where nothing fits, and where no choice is made."""
    undecided: str | None
    """Why no choice is made at all: too few cases can be chosen. A sentence; None where one is made."""
    alike: tuple[Offer, ...]
    """Fit too and cannot be told from the best by the metric; fastest first."""
    as_fast: tuple[str, ...]
    """The names in `alike` whose latency cannot be told from the pick's either."""
    worse: tuple[str, ...]
    """Fit too, and are told from the best by the metric."""
    assured: tuple[str, ...] | None
    """Candidates that keep to the limit on the metric's loss for certain, at a one-sided 5 % that is adjusted for all
    candidates; None where that is not limited. What fits keeps to it by its mean."""
    misses: tuple[Miss, ...]
    """Everything that is beyond a limit."""
    excluded: dict[str, str]
    """Case -> why it was no candidate."""
    obstacles: tuple[Miss, ...]
    """Where nothing fits: for each limit, the case that comes nearest."""
    shares: dict[str, float]
    """Case -> share of the resamples in which it is the pick; largest first."""
    seed_count: int
    example_noise_only: bool
    """Whether the seeds are too few, so that test examples alone say who can be told apart."""
    untrained: bool
    """Whether nothing was trained for any candidate, so that there is no noise over seeds at all."""
    teacher: Offer | None
    """For reference."""

    @property
    def setting(self) -> Setting:
        """The target and what a call takes, as evidence has them."""
        return self.target, CallSize.of(self.batch_size, self.lengths)


@dataclass(frozen=True)
class Choice:
    """The answer for a results folder."""

    suite: str
    baseline: str
    """The case that a loss refers to."""
    scale: Scale
    """Name, unit and direction of the metric that cases are chosen by."""
    devices: tuple[DeviceChoice, ...]
    one_for_all: OneForAll | None
    """None for a single device and batch size, where no case fits on all, and where some device has no choice."""
    findings: tuple[Finding, ...]
    """Doubts about the numbers; a case that one of them bars is among the excluded."""
    untimed: tuple[str, ...]
    """Targets of the suite on which nothing was timed, so that nothing is chosen there."""
    resample_count: int

    @property
    def exit_code(self) -> int:
        """The command's exit code: 0 every device has a pick, 1 nothing fits on some, 4 some have no choice."""
        if any(device.pick is None and device.undecided is None for device in self.devices):
            return 1
        return 4 if any(device.undecided is not None for device in self.devices) else 0
