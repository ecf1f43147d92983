"""What a run shows while it works: a live display in a terminal, plain lines elsewhere. Knows no plan."""

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from kdbench import units
from kdbench.plan.estimate import Estimate
from kdbench.stages.names import PROGRESS
from kdbench.stages.spec import StageSpec
from kdbench.stages.worker import Outcome


@dataclass
class _Running:
    names: list[str]
    since: float
    scratch: Path


class Progress:
    """Counts, what runs now, the rest. Use as a context manager."""

    def __init__(self, console: Console, total: int, reused: int, jobs: int, estimate: Estimate) -> None:
        self.console = console
        self.total, self.reused, self.jobs = total, reused, jobs
        self.estimate = estimate
        self.counts: Counter[str] = Counter()
        self.pending: dict[str, StageSpec] = {}
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

    def start(self, specs: list[StageSpec], name: str, scratch: Path) -> None:
        """A stage (or a group of one kind) begins."""
        self.running[specs[0].key] = _Running([name], time.monotonic(), scratch)
        self.tick()

    def finish(self, outcome: Outcome, name: str) -> None:
        """A stage ended."""
        self.running.pop(outcome.key, None)
        spec = self.pending.pop(outcome.key)
        self.counts[outcome.status] += 1
        if outcome.status == "done":
            self.estimate.learn(spec, outcome.wall_seconds)
        if outcome.status == "failed":
            self.say(f"failed: {name}: {outcome.reason}", style="red")
        elif not self._live:
            self.say(f"[{self.ended}/{self.total}] {name}: {units.duration(outcome.wall_seconds * 1e9)}")
        self.tick()

    def skip(self, key: str) -> None:
        """A stage will not run."""
        self.pending.pop(key, None)
        self.counts["skipped"] += 1

    @property
    def ended(self) -> int:
        return sum(self.counts.values())

    def say(self, text: str, style: str = "") -> None:
        """A line that stays."""
        self.console.print(text, style=style, highlight=False, markup=False, soft_wrap=True)

    def tick(self) -> None:
        """Redraw the live display, where there is one."""
        if self._live:
            self._live.update(self._view(), refresh=True)

    def _view(self) -> RenderableType:
        lines = [
            Text(f"  {self._running(running)}", overflow="ellipsis", no_wrap=True) for running in self.running.values()
        ]
        return Group(Text(self._headline()), *lines)

    def _headline(self) -> str:
        counts = [f"{self.ended} of {self.total} stages", f"{self.reused} reused"]
        if self.counts["failed"]:
            counts.append(f"{self.counts['failed']} failed")
        passed = units.duration((time.monotonic() - self.begun) * 1e9)
        left = self.estimate.left(list(self.pending.values()), self.jobs)
        return f"{', '.join(counts)}; {passed} passed, {left}"

    def _running(self, running: _Running) -> str:
        try:
            share = f", {float((running.scratch / PROGRESS).read_text()):.0%}"
        except (OSError, ValueError):
            share = ""
        return f"{running.names[0]} ({units.duration((time.monotonic() - running.since) * 1e9)}{share})"
