"""Verbs on a results folder: render, load, choose, get, score."""

import sys
from functools import cached_property
from pathlib import Path
from typing import Any

import click

from kdbench.cli._shared import confirmed, report, suite_option, waiting


@click.command()
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to write.  [default: RESULTS/report]",
)
@click.option(
    "--format",
    "formats",
    multiple=True,
    metavar="FORMAT",
    help="Only this form: html, markdown, latex, csv, parquet, png, svg or pdf; repeatable.  "
    "[default: html, markdown, csv, png, svg]",
)
def render(results: tuple[Path, ...], output: Path | None, formats: tuple[str, ...]) -> None:
    """Make the report of a results folder again: tables, figures and a page.

    With two results folders: one page that says what changed from the first to the second. With a folder that holds
    results folders: the report of each, and one page that leads to them.
    """
    from kdbench.render import USUAL, render_all, render_changes

    if len(results) > 2:
        raise click.UsageError("give one results folder, two to compare, or a folder that holds several.")
    if len(results) == 2:
        with waiting("comparing ..."):
            page, said = render_changes(*results, output or results[1] / "report")
        click.echo("\n".join(said))
    elif (results[0] / "records.jsonl").exists() or not results[0].is_dir():
        page = report(results[0], output, formats or USUAL)
    else:
        with waiting("making the reports ..."):
            page = render_all(results[0], output or results[0], formats or USUAL)[0]
    click.echo(f"Report: {page}")


@click.command()
@click.argument("results", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write a .csv or .parquet file instead."
)
def load(results: Path, output: Path | None) -> None:
    """Print every measurement of a results folder as CSV, a row each, with units in the column names.

    In Python, `kdbench.load(RESULTS)` gives the same as a DataFrame.
    """
    from kdbench.render.report.tidy import load as load_frame
    from kdbench.render.report.tidy import write_frame

    table = load_frame(results)
    if output is None:
        click.echo(table.to_csv(index=False), nl=False)
    else:
        write_frame(table, output)
        click.echo(f"{len(table)} measurements: {output}")


@click.command("score")
@click.argument("results", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--metric",
    "names",
    multiple=True,
    required=True,
    metavar="NAME",
    help="A registered metric, or FILE.py:CLASS of your own; repeatable.",
)
def score_command(results: Path, names: tuple[str, ...]) -> None:
    """Judge the files of a finished run by another metric, from their stored predictions: nothing is computed again.

    `kdbench render` shows them beside the others, and they stay when the suite is run into the folder again: new files
    are judged by them then, too (by a metric of your own, FILE.py:CLASS, when this verb is asked again).
    `kdbench list metrics` has the names.
    """
    from kdbench.results.further_scores import add_metric

    for name in names:
        added = add_metric(results, name)
        click.echo(f"{added.name}: {added.count} records added to {results / 'records.jsonl'}")
        for reason in added.undefined:
            click.echo(f"  without a value: {reason}")


class _Choosing(click.Command):
    """A verb with an option for the loss of every registered metric: --accuracy-drop, --rmse-rise."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Its own, and those."""
        return [*super().get_params(ctx), *self._losses]

    @cached_property
    def _losses(self) -> list[click.Option]:
        from kdbench import registry

        names = [f"{name}_{way}" for name in registry.names("metric") for way in ("drop", "rise")]
        return [click.Option([f"--{name.replace('_', '-')}"], callback=_loss, hidden=True) for name in names]


def _loss(context: click.Context, option: click.Parameter, text: str | None) -> str | None:
    """A loss's text, checked as far as the metric alone says what it may be; click says the option's name."""
    from kdbench.suite.limits import Limits
    from kdbench.suite.losses import LossReader

    if text is not None:
        for _, sentence in LossReader((), None).limits({option.name: text}, Limits.model_fields):
            raise click.BadParameter(sentence, context, option)
    return text


def _limit(context: click.Context, option: click.Parameter, text: str | None) -> str | None:
    """A limit's text, checked; click says the option's name."""
    from kdbench.suite.limits import PARSERS

    try:
        if text is not None:
            PARSERS[str(option.name)](text)
    except ValueError as error:
        raise click.BadParameter(f"{error}.", context, option) from None
    return text


@click.command("choose", cls=_Choosing)
@click.argument("results", type=click.Path(path_type=Path, file_okay=False))
@click.option("--latency-p50", callback=_limit, metavar="TIME", help="Highest median latency of a call: 2ms, 800us.")
@click.option("--bytes", callback=_limit, metavar="SIZE", help="Largest ONNX file: 1MiB, 500kB.")
@click.option(
    "--memory", callback=_limit, metavar="SIZE", help="Most memory that loading and running a file adds: 8MiB."
)
@click.option(
    "--batch-size", "batch_sizes", type=int, multiple=True, metavar="N", help="Only this batch size; repeatable."
)
@click.option("--target", "targets", multiple=True, metavar="ID", help="Only this target; repeatable.")
@click.option("--format", "form", type=click.Choice(["text", "markdown", "json"]), default="text", show_default=True)
def choose_command(
    results: Path, batch_sizes: tuple[int, ...], targets: tuple[str, ...], form: str, **limits: Any
) -> None:
    """Say which case to ship on each device. Limits given here win over those in the suite.

    How much of what the task is judged by may be lost against the baseline stands under the metric's name:
    --accuracy-drop 1pt, --macro-f1-drop 0.8pt, --rmse-rise "0.4 MW" (or 3%).

    The choice is made on the validation split and told in numbers of the test split. Exit code: 0 where every device
    has a pick, 1 where nothing fits on some device, 4 where no choice can be made on some device, because fewer than
    two cases can be chosen there.
    """
    from kdbench.choose import Limits, choose
    from kdbench.render.verbs.choice_forms import written

    given = {name: text for name, text in limits.items() if text is not None}
    choice = choose(results, Limits(**given), targets, batch_sizes)
    click.echo(written(choice, form))
    sys.exit(choice.exit_code)


def _license(context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    from kdbench.handover.card import LICENSE

    if value is not None and not LICENSE.fullmatch(value):
        raise click.BadParameter("expected the identifier of a license, such as apache-2.0, mit or other.")
    return value


@click.command("get")
@click.argument("results", type=click.Path(path_type=Path, file_okay=False))
@click.argument("case")
@click.option("--seed", type=int, help="The training to hand over.  [default: the best on validation]")
@click.option("--target", metavar="ID", help="The target to ship to, where targets have files of their own.")
@click.option("--license", "license_id", metavar="ID", callback=_license,
              help="The license that the model card names, such as apache-2.0.  [default: none is named]")  # fmt: skip
@suite_option
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder to write, new or empty.")
def get_command(
    results: Path,
    case: str,
    seed: int | None,
    target: str | None,
    license_id: str | None,
    suite: Path | None,
    output: Path,
) -> None:
    """Write a case's ONNX file to a folder, with a manifest, a model card (README.md, as model hubs read it) of what
    was measured, and a program that shows how to run it."""
    from kdbench.handover.get import get, handed_text

    allowed = confirmed(suite)
    with waiting("copying and trying the file ..."):
        handed = get(results, case, output, seed, target, allowed, license_id)
    click.echo(handed_text(handed))
