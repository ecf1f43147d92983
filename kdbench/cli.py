"""The command line: verbs, help, exit codes. A KdbenchError is one line; anything else keeps its traceback."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kdbench import __version__
from kdbench.errors import KdbenchError

if TYPE_CHECKING:
    from kdbench.plan import Plan
    from kdbench.store import Store

SOME_FAILED = 1
BAD_INPUT = 2
INTERRUPTED = 130

suite_argument = click.argument("suite", type=click.Path(path_type=Path), metavar="SUITE.yaml")
store_option = click.option(
    "--store",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="KDBENCH_STORE",
    help="Folder of finished stages, shared by all suites.  [default: in the user's cache folder]",
)
case_option = click.option("--case", "cases", multiple=True, metavar="GLOB", help="Only these cases; repeatable.")
seed_option = click.option("--seed", "seeds", multiple=True, metavar="GLOB", help="Only these seeds; repeatable.")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="kdbench")
def cli() -> None:
    """Which compressed model should I ship on each of my devices, and what does it cost me?

    \b
    Start with:  kdbench run suites/quickstart.yaml
    """


@cli.command()
@suite_argument
@case_option
@seed_option
@click.option("--jobs", "-j", type=click.IntRange(min=1), help="Stages side by side.  [default: cores / threads]")
@store_option
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), help="Results folder.  [default: results/NAME]"
)
def run(
    suite: Path,
    cases: tuple[str, ...],
    seeds: tuple[str, ...],
    jobs: int | None,
    store: Path | None,
    output: Path | None,
) -> None:
    """Run a suite to a report; what is finished already is reused."""
    from rich.console import Console

    from kdbench import runner
    from kdbench.suite import select

    plan, chosen = _plan(suite), None
    chosen = plan.chosen(select(plan.suite, cases, seeds))
    folder = output or Path("results") / plan.suite.name
    opened = _store(store)
    console = Console(stderr=True)
    command = shlex.join(["kdbench", *sys.argv[1:]])
    console.print(f"Suite {plan.suite.name}: results in {folder}, store {opened.root}", highlight=False, soft_wrap=True)
    work = runner.Run(plan, chosen, opened, folder, command)
    if not work.todo:
        console.print(f"Nothing to do: all {work.summary.stage_count} stages are in the store.", highlight=False)
    try:
        summary = work.walk(jobs or runner.default_jobs(plan), console)
    except KeyboardInterrupt:
        console.print("\nStopped. What is finished is kept; to go on, run the same command again:", highlight=False)
        console.print(f"  {command}", highlight=False, soft_wrap=True)
        sys.exit(INTERRUPTED)
    _report(folder)
    console.print(
        f"{summary.computed} stages computed, {summary.reused} reused, {len(summary.failures)} failed or skipped.",
        highlight=False,
    )
    for warning in summary.warnings:
        console.print(f"Warning: {warning}", highlight=False, soft_wrap=True)
    click.echo(f"Report: {folder / 'report' / 'index.html'}")
    if summary.failures:
        sys.exit(SOME_FAILED)


@cli.command("plan")
@suite_argument
@case_option
@seed_option
@store_option
def plan_command(suite: Path, cases: tuple[str, ...], seeds: tuple[str, ...], store: Path | None) -> None:
    """Say what a run would do: stages, what the store has, what is left."""
    from kdbench.outlook import plan_text
    from kdbench.suite import select

    plan = _plan(suite)
    click.echo(plan_text(plan, plan.chosen(select(plan.suite, cases, seeds)), _store(store)))


@cli.command()
@suite_argument
def validate(suite: Path) -> None:
    """Check a suite file: names, fields, order of steps, and that its parts and data fit together."""
    plan = _plan(suite)
    click.echo(f"{suite}: ok: {len(plan.cases)} cases, {len(plan.suite.seeds)} seeds, {len(plan.targets)} targets.")


@cli.command("list")
@click.argument("kind", type=click.Choice(["techniques", "models", "tasks", "providers"]))
def list_command(kind: str) -> None:
    """List what a suite can name."""
    from kdbench.listing import list_text

    click.echo(list_text(kind))


@cli.command()
@click.argument("name")
def describe(name: str) -> None:
    """Explain a technique, model or task: what it does, its fields with defaults and bounds, its paper."""
    from kdbench.listing import describe_text

    click.echo(describe_text(name))


@cli.command()
def schema() -> None:
    """Print the JSON Schema of suite files, for editors."""
    import json

    from kdbench.schema import schema as suite_schema

    click.echo(json.dumps(suite_schema(), indent=2))


@cli.command()
@click.argument("results", type=click.Path(path_type=Path, file_okay=False))
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), help="[default: RESULTS/report]")
def render(results: Path, output: Path | None) -> None:
    """Make tables, figures and the page again from a results folder."""
    _report(results, output)
    click.echo(f"Report: {(output or results / 'report') / 'index.html'}")


@cli.command("store")
@store_option
@click.option("--older-than", type=float, metavar="DAYS", help="Remove stages that nobody used for so long.")
@click.option(
    "--unused-by",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="SUITE.yaml",
    help="Remove stages that none of these suites uses; repeatable.",
)
@click.option("--yes", is_flag=True, help="Remove without asking.")
def store_command(store: Path | None, older_than: float | None, unused_by: tuple[Path, ...], yes: bool) -> None:
    """Show the stage store's size by kind, and clean it."""
    from kdbench.outlook import store_text, sweep

    opened = _store(store)
    if older_than is None and not unused_by:
        click.echo(store_text(opened))
        return
    used = {key for path in unused_by for key in _plan(path).stages} if unused_by else None
    doomed = sweep(opened, older_than, used)
    total = sum(entry.byte_count for entry in doomed)
    from kdbench import units

    click.echo(f"{len(doomed)} of the stages in {opened.root} would go: {units.size(total)}.")
    if doomed and (yes or click.confirm("Remove them?")):
        for entry in doomed:
            opened.discard(entry.key)
        freed = opened.remove_scratch()
        click.echo(f"Removed {units.size(total + freed)}.")


def _plan(path: Path) -> "Plan":
    from kdbench import probe
    from kdbench.plan import make_plan
    from kdbench.suite import load

    suite = load(path)
    return make_plan(suite, probe.machine(entry.python for entry in suite.measure))


def _store(path: Path | None) -> "Store":
    from kdbench import probe
    from kdbench.store import Store

    return Store(path or probe.cache_folder() / "store")


def _report(results: Path, output: Path | None = None) -> None:
    from kdbench.render import render as render_report
    from kdbench.render import terminal_table

    render_report(results, output or results / "report")
    click.echo(terminal_table(results))


def main() -> None:
    """The console script. Exit codes: 0 ok, 1 some case failed, 2 bad input, 130 interrupted."""
    import signal

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(INTERRUPTED)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except KdbenchError as error:
        click.echo(str(error), err=True)
        sys.exit(BAD_INPUT)


if __name__ == "__main__":
    main()
