"""Verbs on a suite file: run, measure, plan, validate."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kdbench.cli._console import SOME_FAILED
from kdbench.cli._shared import (
    address_option,
    case_option,
    executor_option,
    open_store,
    plans_of,
    report_groups,
    seed_option,
    store_option,
    suite_argument,
    walk,
)

if TYPE_CHECKING:
    pass


output_option = click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Results folder to write.  [default: results/NAME]",
)


@click.command()
@suite_argument
@case_option
@seed_option
@click.option(
    "--jobs",
    "-j",
    type=click.IntRange(min=1),
    help="Trainings and other stages side by side.  [default: cores / threads]",
)
@executor_option
@address_option
@store_option
@output_option
def run(
    suite: Path,
    cases: tuple[str, ...],
    seeds: tuple[str, ...],
    jobs: int | None,
    executor: str,
    address: str | None,
    store: Path | None,
    output: Path | None,
) -> None:
    """Run a suite to a report. Finished work is reused, from earlier runs and from other suites.

    Stop it at any time with Ctrl-C: the same command goes on where it was. Exit codes: 0 all done, 1 some case failed,
    2 bad input, 130 stopped.
    """
    from kdbench.suite.selection import select

    opened = open_store(store)
    plans = plans_of(suite, opened, executor, address)
    chosen = [plan.chosen(select(plan.suite, cases, seeds)) for plan in plans]
    went_well = [
        walk(plan, labels, opened, output, jobs, executor, address) for plan, labels in zip(plans, chosen, strict=True)
    ]
    report_groups(plans, output)
    if not all(went_well):
        sys.exit(SOME_FAILED)


@click.command("measure")
@suite_argument
@case_option
@seed_option
@click.option("--target", "targets", multiple=True, metavar="GLOB", help="Only the targets that match; repeatable.")
@click.option("--again", is_flag=True, help="Time again what was timed already; the new times count from then on.")
@executor_option
@address_option
@store_option
@output_option
def measure_command(
    suite: Path,
    cases: tuple[str, ...],
    seeds: tuple[str, ...],
    targets: tuple[str, ...],
    again: bool,
    executor: str,
    address: str | None,
    store: Path | None,
    output: Path | None,
) -> None:
    """Time the files of a suite that was run, without training, and make its report again.

    Files that were never timed are timed. With --again all of them are, and later runs use the newest times.
    """
    from kdbench.plan import repeats

    opened = open_store(store)
    plans = plans_of(suite, opened, executor, address)
    went_well = []
    for plan in plans:
        asked = repeats.measurements(plan, opened, cases, seeds, targets)
        if again:
            plan = repeats.again(plan, opened, asked)
            asked = repeats.measurements(plan, opened, cases, seeds, targets)
        went_well.append(walk(plan, asked, opened, output, 1, executor, address))
    report_groups(plans, output)
    if not all(went_well):
        sys.exit(SOME_FAILED)


@click.command("plan")
@suite_argument
@case_option
@seed_option
@executor_option
@address_option
@store_option
def plan_command(
    suite: Path,
    cases: tuple[str, ...],
    seeds: tuple[str, ...],
    executor: str,
    address: str | None,
    store: Path | None,
) -> None:
    """Say what `kdbench run` would do: which stages are finished, which are left, and about how long they take."""
    from kdbench.cli._plan_text import plan_text
    from kdbench.suite.selection import select

    opened = open_store(store)
    for plan in plans_of(suite, opened, executor, address):
        if plan.suite.group:
            click.echo(f"{plan.suite.group}:")
        click.echo(plan_text(plan, plan.chosen(select(plan.suite, cases, seeds)), opened))


@click.command()
@suite_argument
@executor_option
@address_option
def validate(suite: Path, executor: str, address: str | None) -> None:
    """Check a suite file before anything runs: names, fields, the order of steps, the data, your own classes.

    Everything that is wrong is told at once, with its line.
    """
    plan, *others = plans_of(suite, None, executor, address)
    counts = [f"{len(plan.cases):,} cases", f"{len(plan.suite.seeds):,} seeds", f"{len(plan.targets):,} targets"]
    groups = f", for each of {1 + len(others)} groups" if others else ""
    click.echo(f"{suite}: ok: {', '.join(counts)}; {len(plan.stages):,} stages{groups}.")
