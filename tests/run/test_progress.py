"""What a run shows: every name as it is, whatever it means to the library that prints it."""

import io

from rich.console import Console

from kdbench.plan.estimate import Estimate
from kdbench.run.progress import Progress
from kdbench.stages.spec import StageSpec
from kdbench.stages.worker import Outcome

SPEC = StageSpec("train", 1, seed=0)


def test_names_are_printed_as_they_are() -> None:
    said = io.StringIO()
    with Progress(Console(file=said), {SPEC.key: SPEC}, 0, 1, Estimate(), lambda key: None) as progress:
        progress.start([SPEC], "train")
        progress.finish(Outcome(SPEC.key, "failed", "[bold] no :leaves: here"), "compress mine.py:Leaves: leaves")
    assert said.getvalue() == "failed: compress mine.py:Leaves: leaves: [bold] no :leaves: here\n"


def test_a_terminal_is_shown_how_far_a_stage_is() -> None:
    said = io.StringIO()
    console = Console(file=said, force_terminal=True, width=80)
    with Progress(console, {SPEC.key: SPEC}, 3, 1, Estimate(), {SPEC.key: 0.25}.get) as progress:
        progress.start([SPEC], "train: soft, seed 0")
        progress.tick()
    assert "0 of 1 stages, 3 reused" in said.getvalue()
    assert "train: soft, seed 0 (" in said.getvalue()
    assert ", 25%)" in said.getvalue()
