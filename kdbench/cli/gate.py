"""The verbs of the gate: check, and the baseline files that it is held against."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kdbench.cli._shared import case_option, confirmed, python_option, suite_option, waiting

if TYPE_CHECKING:
    from rich.console import Console


@click.command("check")
@click.argument("new", type=click.Path(path_type=Path, file_okay=False))
@click.option("--against", "reference", type=click.Path(path_type=Path), metavar="REF",
              help="A results folder, a file of `kdbench baseline save`, or a history (its accepted run).")  # fmt: skip
@click.option(
    "--runtime-from", metavar="PYTHON", help="In place of --against: the interpreter that runs NEW's files now."
)
@click.option("--runtime-to", metavar="PYTHON", help="The interpreter with the runtime to upgrade to.")
@click.option("--target", "targets", multiple=True, metavar="ID", help="Only this target; repeatable.")
@case_option
@suite_option
@python_option
@click.option("--format", "form", default="text", show_default=True, metavar="FORM",
              help="What to print: text, markdown, junit, json or pytest-benchmark.")  # fmt: skip
@click.option("-o", "--output", "outputs", multiple=True, metavar="FORM=FILE",
              help="Write a form to a file, too: junit=check.xml; repeatable.")  # fmt: skip
def check_command(
    new: Path, reference: Path | None, runtime_from: str | None, runtime_to: str | None, targets: tuple[str, ...],
    cases: tuple[str, ...], suite: Path | None, pythons: tuple[str, ...], form: str, outputs: tuple[str, ...],
) -> None:  # fmt: skip
    """Check the results folder NEW against REF, or NEW's own files under another runtime: accuracy, size, latency.

    Files of both are timed again now, side by side, so that only the files can make a difference. How much worse a case
    may be stands in the suite of NEW, under `check` (`kdbench describe check`). With --runtime-from and --runtime-to
    the same files run under two interpreters in turns, and their answers are compared. Exit codes: 0 no regression,
    3 a regression is confirmed, 1 something errored, 4 cannot tell, 2 bad input.
    """
    from rich.console import Console

    from kdbench.render.verbs.check import FORMS, output, write, written

    if form not in FORMS:
        raise click.BadParameter(f"expected one of {', '.join(FORMS)}, got '{form}'.", param_hint="--format")
    try:
        files = [output(text) for text in outputs]
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--output") from None
    with _progress(Console(stderr=True)) as say:
        said = confirmed(suite, pythons)
        if runtime_from is not None and runtime_to is not None and reference is None and not pythons:
            from kdbench.check.upgrade import check_upgrade

            checked = check_upgrade(new, (runtime_from, runtime_to), targets, cases, say, confirmed=said)
        elif reference is not None and runtime_from is None and runtime_to is None:
            from kdbench.check import check

            checked = check(new, reference, targets, cases, say, confirmed=said)
        else:
            raise click.UsageError("give either --against REF, or --runtime-from and --runtime-to (without --python).")
    console = Console()
    click.echo(written(checked, form, console if console.is_terminal else None))
    for file_form, path in files:
        write(checked, file_form, path)
    sys.exit(checked.exit_code)


@contextmanager
def _progress(console: "Console") -> Iterator[Callable[[str], None]]:
    """Words on what is done next: one changing line in a terminal, a line each elsewhere."""
    if not console.is_terminal:
        yield lambda words: console.print(words, highlight=False, markup=False, soft_wrap=True)
        return
    with console.status("reading both sides") as status:
        yield lambda words: status.update(words)


@click.group()
def baseline() -> None:
    """Keep results as one file, against which later results are checked."""


@baseline.command("save")
@click.argument("results", type=click.Path(path_type=Path, file_okay=False))
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), required=True, help="File to write.")
@click.option("--allow-failed", is_flag=True, help="Save even if a case of the run failed.")
def save_command(results: Path, output: Path, allow_failed: bool) -> None:
    """Save the results folder RESULTS with its models, predictions and a sample of inputs as one file."""
    from kdbench import units
    from kdbench.check.baseline import save

    with waiting("saving ..."):
        saved = save(results, output, allow_failed)
    click.echo(f"{output}: {len(saved.cases)} cases, {len(saved.files)} files, {units.size(output.stat().st_size)}.")
    click.echo(f"Check later results with:  kdbench check NEW --against {output}")


@baseline.command("show")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def show_command(file: Path) -> None:
    """Say what a baseline FILE holds: cases, seeds, targets, and when it was measured."""
    from kdbench import units
    from kdbench.check.baseline import read_saved

    saved = read_saved(file)
    click.echo(f"{file}: suite {saved.suite}, kdbench {saved.kdbench}")
    if saved.dates:
        click.echo(f"Measured:  {units.period(*saved.dates)}")
    click.echo(f"Cases:     {', '.join(saved.cases)}")
    click.echo(f"Seeds:     {', '.join(map(str, saved.seeds))}")
    click.echo(f"Targets:   {', '.join(saved.targets)}")
    click.echo(f"Files:     {len(saved.files)}, {units.size(saved.byte_count)} unpacked")
