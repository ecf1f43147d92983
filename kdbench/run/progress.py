"""The display of a run at work: live in a terminal, elsewhere a line for each finished stage."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from kdbench import units
from kdbench.plan.estimate import Estimate
from kdbench.stages.spec import StageSpec
from kdbench.stages.worker import Outcome


@dataclass
class _Running:
    name: str
    since: float
    """By `time.monotonic`."""


class Progress:
    """How many stages have ended and how, what runs now, how long the rest may take. Use as a context manager."""

    def __init__(
        self,
        console: Console,
        todo: Mapping[str, StageSpec],
        reused: int,
        jobs: int,
        estimate: Estimate,
        share_done: Callable[[str], float | None],
    ) -> None:
        """`todo`: the stages that will run, by key; `share_done`: how far one is, 0 to 1, where that is known."""
        self.console, self.share_done = console, share_done
        self.total, self.reused, self.jobs = len(todo), reused, jobs
        self.estimate = estimate
        self.counts: Counter[str] = Counter()
        self.pending = dict(todo)
        self.running: dict[str, _Running] = {}
        self.begun = time.monotonic()
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None

    def __enter__(self) -> "Progress":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live:
            self._live.stop()

    def start(self, specs: list[StageSpec], name: str) -> None:
        """Note that a stage begins, or a group of one kind, which is shown by its first."""
        self.running[specs[0].key] = _Running(name, time.monotonic())
        self.tick()

    def finish(self, outcome: Outcome, name: str) -> None:
        """Note that a stage ended, and print how; a rehearsal, which is not counted, is told of where it failed."""
        self.running.pop(outcome.key, None)
        spec = self.pending.pop(outcome.key, None)
        if spec is not None:
            self.counts[outcome.status] += 1
            if outcome.status == "done":
                self.estimate.learn(spec, outcome.wall_seconds)
        if outcome.status == "failed":
            self.say(f"failed: {name}: {outcome.reason}", style="red")
        elif spec is not None and not self._live:
            self.say(f"[{self.ended}/{self.total}] {name}: {units.duration(outcome.wall_seconds * 1e9)}")
        self.tick()

    def skip(self, key: str) -> None:
        """Note that a stage will not run."""
        self.pending.pop(key, None)
        self.counts["skipped"] += 1

    @property
    def ended(self) -> int:
        return sum(self.counts.values())

    def say(self, text: str, style: str = "") -> None:
        """Print a line that stays."""
        self.console.print(text, style=style, highlight=False, markup=False, emoji=False, soft_wrap=True)

    def tick(self) -> None:
        """Redraw the live display, if the output is a terminal."""
        if self._live:
            self._live.update(self._view(), refresh=True)

    def _view(self) -> RenderableType:
        lines = [
            Text(f"  {self._running(key, running)}", overflow="ellipsis", no_wrap=True)
            for key, running in self.running.items()
        ]
        return Group(Text(self._headline()), *lines)

    def _headline(self) -> str:
        counts = [f"{self.ended} of {self.total} stages", f"{self.reused} reused"]
        if self.counts["failed"]:
            counts.append(f"{self.counts['failed']} failed")
        passed = units.duration((time.monotonic() - self.begun) * 1e9)
        left = self.estimate.left(list(self.pending.values()), self.jobs)
        return f"{', '.join(counts)}; {passed} passed, {left}"

    def _running(self, key: str, running: _Running) -> str:
        done = self.share_done(key)
        share = "" if done is None else f", {done:.0%}"
        return f"{running.name} ({units.duration((time.monotonic() - running.since) * 1e9)}{share})"
