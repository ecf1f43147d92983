"""The verb that tries the gate on this machine: selfcheck."""

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kdbench.cli._shared import confirmed, suite_option

if TYPE_CHECKING:
    from kdbench.results.trust import Confirmed

CANNOT_TELL = 4
"""Exit code: the gate's tolerance is not sound here."""


@click.command("selfcheck")
@click.argument("model", required=False, type=click.Path(path_type=Path), metavar="[MODEL.onnx|RESULTS]")
@click.option("--case", metavar="NAME", help="With RESULTS: the case whose file is timed.")
@click.option("--target", metavar="ID", help="With RESULTS: time it as this target does.")
@click.option("--provider", metavar="NAME", help="What runs the model.  [default: cpu]")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads of a call.  [default: 1]")
@click.option("--batch-size", type=click.IntRange(min=1), default=1, show_default=True, help="Examples in a call.")
@click.option("--python", metavar="PATH", help="The Python that measures.  [default: this one]")
@suite_option
@click.option(
    "--pairs",
    type=click.IntRange(min=3),
    default=20,
    show_default=True,
    help="How often to compare; each takes seconds.",
)
@click.option("--max-ratio", type=click.FloatRange(min=1, min_open=True), default=1.03, show_default=True,
              help="The tolerance of `kdbench check` to try.")  # fmt: skip
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def selfcheck_command(
    model: Path | None, case: str | None, target: str | None, provider: str | None, threads: int | None,
    batch_size: int, python: str | None, suite: Path | None, pairs: int, max_ratio: float,
    form: str,
) -> None:  # fmt: skip
    """Try on this machine how well `kdbench check` tells slower from equal.

    A model (or a small network of kdbench's own) is timed against its own copy, as often as --pairs says. That shows
    how often equal files would be called slower, and the smallest slow-down that would be seen. Exit codes: 0 the
    tolerance is sound for this model on this machine, 4 it is not, 2 bad input.
    """
    from kdbench.check.selfcheck import selfcheck
    from kdbench.render.verbs.selfcheck import selfcheck_json, selfcheck_text

    if target is not None and (provider or threads):
        raise click.UsageError("--target names a session already; leave --provider and --threads out.")
    session = {"provider": provider or "cpu", "threads_intra": threads or 1, "threads_inter": 1}
    with tempfile.TemporaryDirectory() as folder:
        tried = _tried(model, case, target, Path(folder), batch_size, _confirmed(target, python, suite))
        found = selfcheck(
            tried.path, tried.name, tried.inputs, tried.session or session, batch_size, tried.python or python,
            pairs, max_ratio, progress=lambda words: click.echo(words, err=True),
        )  # fmt: skip
    click.echo(selfcheck_json(found) if form == "json" else selfcheck_text(found))
    sys.exit(0 if found.is_sound else CANNOT_TELL)


@dataclass(frozen=True)
class _Tried:
    """The file, its inputs, and what a results folder says of how to run it."""

    path: Path
    name: str
    inputs: Path
    session: dict[str, Any] | None = None
    python: str | None = None


def _confirmed(target: str | None, python: str | None, suite: Path | None) -> "Confirmed":
    return confirmed(suite, [f"{target}={python}"] if target and python else [])


def _tried(
    model: Path | None, case: str | None, target: str | None, folder: Path, batch_size: int, said: "Confirmed"
) -> _Tried:
    from kdbench.timing.random_inputs import write_random_inputs, write_small_network

    if model is not None and model.is_dir():
        if case is None:
            raise click.UsageError(f"'{model}' is a results folder: name one of its cases with --case.")
        return _of_results(model, case, target, said)
    if case is not None or target is not None:
        raise click.UsageError("--case and --target belong to a results folder; name one.")
    name, path = (model.name, model) if model else ("a small network", write_small_network(folder / "small.onnx"))
    return _Tried(path, name, write_random_inputs(path, folder / "inputs.npz", batch_size))


def _of_results(folder: Path, case: str, target: str | None, said: "Confirmed") -> _Tried:
    from kdbench.errors import StoreError
    from kdbench.evidence import read_results
    from kdbench.handover.chosen import choose_file
    from kdbench.results.task_json import read_task

    results = read_results(folder)
    path = choose_file(results, case, target=target).path
    inputs = results.file(read_task(folder).sample_path)
    if inputs is None:
        raise StoreError(f"'{folder}' keeps no sample of inputs; run the suite again with -o '{folder}'.")
    entry = said.entry(target or "", results.plan.measured(target or ""), str(folder))
    return _Tried(path, case, inputs, entry["session"] or None, entry["python"])
