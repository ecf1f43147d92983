"""Options and steps that several verbs share: a suite's plan, the store, the report. Imports heavy code when called."""

import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kdbench.cli._console import INTERRUPTED

if TYPE_CHECKING:
    from kdbench.plan.plan import Label, Plan
    from kdbench.results.trust import Confirmed
    from kdbench.stages.store import Store
    from kdbench.suite.cases import Suite

MANY_ROWS = 2_000
"""A second or two of planning."""
suite_argument = click.argument("suite", type=click.Path(path_type=Path), metavar="SUITE.yaml")
store_option = click.option(
    "--store",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="KDBENCH_STORE",
    help="Folder that keeps finished work, shared by all suites.  [default: in your cache folder]",
)
case_option = click.option(
    "--case", "cases", multiple=True, metavar="GLOB", help="Only the cases whose names match; repeatable."
)
suite_option = click.option(
    "--suite",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="SUITE.yaml",
    help="Your suite file: allow the interpreters, plug-ins and options under its `measure`. What a results folder "
    "names is not run without it.",
)
python_option = click.option(
    "--python",
    "pythons",
    multiple=True,
    metavar="TARGET=PATH",
    help="The Python that measures a target; repeatable.",
)
seed_option = click.option(
    "--seed", "seeds", multiple=True, metavar="GLOB", help="Only the seeds that match; repeatable."
)
executor_option = click.option(
    "--executor",
    default="local",
    show_default=True,
    metavar="NAME",
    help="Where stages run: `local`, `ray`, or what an installed package adds.",
)
address_option = click.option(
    "--address", help="Of a Ray cluster: `auto`, HOST:PORT.  [default: RAY_ADDRESS, else this machine]"
)


def plans_of(
    path: Path, store: "Store | None" = None, executor: str = "local", address: str | None = None
) -> "list[Plan]":
    """The whole plan of a suite file, or one for each of its groups (`split_by`).

    With a store, each file's newest timing in it is the one that is planned. The executor asks the nodes that measure
    entries name.
    """
    from dataclasses import replace

    from kdbench import registry
    from kdbench.plan import repeats
    from kdbench.plan.rows import make_plan
    from kdbench.run.executors import NoNode
    from kdbench.suite.people import of_groups
    from kdbench.suite.reader import load
    from kdbench.suite.targets import interpreters_of
    from kdbench.timing import probe

    suite = load(path)
    _announce(suite)
    with waiting("asking what can be measured here ..."):
        _check_interpreters(suite)
        here, others, _ = interpreters_of(tuple(entry for entry in suite.measure if entry.node is None))
        machine = probe.machine(here, others, interpreters_of(suite.measure)[2])
        try:
            nodes = registry.resolve("executor", executor).machines(suite.measure, address)
        except NoNode as error:
            index = next(index for index, entry in enumerate(suite.measure) if entry.node == error.node)
            raise suite.fail(("measure", index, "node"), str(error)) from None
        machine = replace(machine, nodes=nodes)
    newest = [repeats.newest(store)] if store else []
    return [make_plan(one, machine, *newest) for one in of_groups(suite)]


@contextmanager
def waiting(words: str) -> Iterator[None]:
    """Show words beside a moving sign while something takes its time; nothing where nobody looks at a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(words):
        yield


def _announce(suite: "Suite") -> None:
    """Say what is planned where that takes more than a second or two."""
    from kdbench.suite.targets import targets_of

    targets = len(targets_of(suite.measure))
    rows = len(suite.cases) * len(suite.seeds) * targets
    if rows >= MANY_ROWS:
        click.echo(
            f"{suite.document.path}: {len(suite.cases):,} cases x {len(suite.seeds):,} seeds x {targets:,} targets are "
            f"{rows:,} files to make, evaluate and time; planning their stages ...",
            err=True,
        )


def _check_interpreters(suite: "Suite") -> None:
    """Raises SuiteError at the entry whose interpreter does not run the measuring program."""
    from kdbench.errors import MeasureError
    from kdbench.measure.carried import declared
    from kdbench.suite.targets import converter_of
    from kdbench.timing import probe

    for index, entry in enumerate(suite.measure):
        try:
            if entry.node is None:
                probe.runtime(entry.python, entry.provider, entry.runtime)
        except MeasureError as error:
            raise suite.fail(("measure", index, *(["python"] if entry.python else [])), str(error)) from None
        if declared(entry.runtime, entry.provider).made_from:
            try:
                probe.converter(converter_of(entry), entry.provider, entry.runtime)
            except MeasureError as error:
                raise suite.fail(("measure", index, *(["converter"] if entry.converter else [])), str(error)) from None


def confirmed(suite: Path | None, pythons: Sequence[str] = ()) -> "Confirmed":
    """The targets' settings that the user gives on the command line: by a suite file, and by TARGET=PATH of Pythons."""
    from kdbench.results.trust import Confirmed
    from kdbench.suite.reader import load
    from kdbench.suite.targets import targets_of

    targets = targets_of(load(suite).measure) if suite else []
    pairs = [text.partition("=") for text in pythons]
    for target, _, path in pairs:
        if not target or not path:
            raise click.BadParameter("expected TARGET=PATH.", param_hint="--python")
    return Confirmed(
        {target.id: {"session": target.session, "python": target.entry.python} for target in targets},
        {target: path for target, _, path in pairs},
    )


def open_store(path: Path | None) -> "Store":
    """The store in a folder, or the one in the user's cache folder."""
    from kdbench.stages.store import Store
    from kdbench.timing import probe

    return Store(path or probe.cache_folder() / "store")


def walk(
    plan: "Plan",
    labels: "list[Label]",
    store: "Store",
    output: Path | None,
    jobs: int | None,
    executor: str = "local",
    address: str | None = None,
) -> bool:
    """Run what these labels need, to a report; whether all went well. Exits where it is interrupted."""
    from rich.console import Console

    from kdbench.run import walk as walking

    folder = results_folder(plan, output)
    # names are printed as they are: neither `mine.py:Leaves: leaves` nor `[bold]` means anything to rich here
    console = Console(stderr=True, markup=False, emoji=False, highlight=False)
    command = shlex.join(["kdbench", *sys.argv[1:]])
    console.print(f"Suite {plan.suite.name}: results in {folder}, store {store.root}", soft_wrap=True)
    work = walking.Run(plan, labels, store, folder, command, executor, address)
    if not work.todo:
        console.print(f"Nothing to do: all {work.summary.stage_count} stages are in the store.")
    try:
        summary = work.walk(jobs, console)
    except KeyboardInterrupt:
        console.print("\nStopped. What is finished is kept; to go on, run the same command again:")
        console.print(f"  {command}", soft_wrap=True)
        sys.exit(INTERRUPTED)
    report(folder)
    console.print(
        f"{summary.computed} stages computed, {summary.reused} reused, {len(summary.failures)} failed or skipped."
    )
    for warning in summary.warnings:
        console.print(f"Warning: {warning}", soft_wrap=True)
    click.echo(f"Report: {folder / 'report' / 'index.html'}")
    return not summary.failures


def results_folder(plan: "Plan", output: Path | None) -> Path:
    """Where the results of a plan go: `output`, else results/NAME; of one group, a folder of its name in there."""
    group = plan.suite.group
    name = plan.suite.name.removesuffix(f"-{group}") if group else plan.suite.name
    return (output or Path("results") / name) / group


def report_groups(plans: "Sequence[Plan]", output: Path | None) -> None:
    """Where there are several groups, write the page that leads to each, and print their cases side by side."""
    if len(plans) < 2:
        return
    from kdbench.evidence import evidence
    from kdbench.render import render_all
    from kdbench.render.report.side_by_side import side_by_side

    folder = results_folder(plans[0], output).parent
    with waiting("making the reports ..."):
        page = render_all(folder, folder, ("html",))[0]
        table = side_by_side([evidence(results_folder(plan, output)) for plan in plans])
    if table is not None:
        click.echo(f"\n{table.markdown()}")
    click.echo(f"Report of all groups: {page}")


def report(results: Path, output: Path | None = None, formats: tuple[str, ...] | None = None) -> Path:
    """Write a report and print its table; the path of its page."""
    from kdbench.evidence import evidence
    from kdbench.render import USUAL, terminal_table
    from kdbench.render import render as render_report
    from kdbench.render.verbs.choice_forms import asked_text

    with waiting("making the report ..."):
        written = render_report(results, output or results / "report", formats or USUAL)
        chosen, table = asked_text(evidence(results)), terminal_table(results)
    if chosen:
        click.echo(f"{chosen}\n")
    click.echo(table)
    return written[0]
