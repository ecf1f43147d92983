"""Verbs on a suite file: run, measure, plan, validate."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kdbench.cli._console import INTERRUPTED, SOME_FAILED
from kdbench.cli._shared import case_option, open_store, plan_of, report, seed_option, store_option, suite_argument

if TYPE_CHECKING:
    from kdbench.plan.plan import Label, Plan
    from kdbench.stages.store import Store


output_option = click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), help="Results folder.  [default: results/NAME]"
)


@click.command()
@suite_argument
@case_option
@seed_option
@click.option("--jobs", "-j", type=click.IntRange(min=1), help="Stages side by side.  [default: cores / threads]")
@store_option
@output_option
def run(
    suite: Path,
    cases: tuple[str, ...],
    seeds: tuple[str, ...],
    jobs: int | None,
    store: Path | None,
    output: Path | None,
) -> None:
    """Run a suite to a report; what is finished already is reused."""
    from kdbench.suite.selection import select

    opened = open_store(store)
    plan = plan_of(suite, opened)
    _walk(plan, plan.chosen(select(plan.suite, cases, seeds)), opened, output, jobs)


@click.command("measure")
@suite_argument
@case_option
@seed_option
@click.option("--target", "targets", multiple=True, metavar="ID", help="Only this target; repeatable.")
@click.option("--again", is_flag=True, help="Time afresh what was timed already; the new times replace the old ones.")
@store_option
@output_option
def measure_command(
    suite: Path,
    cases: tuple[str, ...],
    seeds: tuple[str, ...],
    targets: tuple[str, ...],
    again: bool,
    store: Path | None,
    output: Path | None,
) -> None:
    """Time the files of a suite that was run, and make its report again; nothing is trained.

    Times of files in the store that are still missing are taken; with --again every time is taken afresh, and later
    runs use the newest.
    """
    from kdbench.plan import repeats

    opened = open_store(store)
    plan = plan_of(suite, opened)
    asked = repeats.measurements(plan, opened, cases, seeds, targets)
    if again:
        plan = repeats.again(plan, opened, asked)
        asked = repeats.measurements(plan, opened, cases, seeds, targets)
    _walk(plan, asked, opened, output, jobs=1)


def _walk(plan: "Plan", labels: "list[Label]", store: "Store", output: Path | None, jobs: int | None) -> None:
    """Run what these labels need, to a report; exits with a code where not all went well."""
    from rich.console import Console

    from kdbench.run import walk

    folder = output or Path("results") / plan.suite.name
    console = Console(stderr=True)
    command = shlex.join(["kdbench", *sys.argv[1:]])
    console.print(f"Suite {plan.suite.name}: results in {folder}, store {store.root}", highlight=False, soft_wrap=True)
    work = walk.Run(plan, labels, store, folder, command)
    if not work.todo:
        console.print(f"Nothing to do: all {work.summary.stage_count} stages are in the store.", highlight=False)
    try:
        summary = work.walk(jobs or walk.default_jobs(plan), console)
    except KeyboardInterrupt:
        console.print("\nStopped. What is finished is kept; to go on, run the same command again:", highlight=False)
        console.print(f"  {command}", highlight=False, soft_wrap=True)
        sys.exit(INTERRUPTED)
    report(folder)
    console.print(
        f"{summary.computed} stages computed, {summary.reused} reused, {len(summary.failures)} failed or skipped.",
        highlight=False,
    )
    for warning in summary.warnings:
        console.print(f"Warning: {warning}", highlight=False, soft_wrap=True)
    click.echo(f"Report: {folder / 'report' / 'index.html'}")
    if summary.failures:
        sys.exit(SOME_FAILED)


@click.command("plan")
@suite_argument
@case_option
@seed_option
@store_option
def plan_command(suite: Path, cases: tuple[str, ...], seeds: tuple[str, ...], store: Path | None) -> None:
    """Say what a run would do: stages, what the store has, what is left."""
    from kdbench.cli._plan_text import plan_text
    from kdbench.suite.selection import select

    opened = open_store(store)
    plan = plan_of(suite, opened)
    click.echo(plan_text(plan, plan.chosen(select(plan.suite, cases, seeds)), opened))


@click.command()
@suite_argument
def validate(suite: Path) -> None:
    """Check a suite file: names, fields, order of steps, and that its parts and data fit together."""
    plan = plan_of(suite)
    counts = [f"{len(plan.cases):,} cases", f"{len(plan.suite.seeds):,} seeds", f"{len(plan.targets):,} targets"]
    click.echo(f"{suite}: ok: {', '.join(counts)}; {len(plan.stages):,} stages.")
