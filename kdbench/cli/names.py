"""Verbs on what a suite can name: list, describe, schema."""

import shutil
import sys
from pathlib import Path

import click

from kdbench import registry

KINDS = [*(f"{kind}s" for kind in (*registry.KINDS, "runtime", "executor")), "providers"]


@click.command("list")
@click.argument("kind", type=click.Choice(KINDS))
def list_command(kind: str) -> None:
    """List what a suite can name, a line each."""
    from kdbench.cli._listing import list_text

    click.echo(list_text(kind, shutil.get_terminal_size().columns if sys.stdout.isatty() else None))


@click.command()
@click.argument("name")
@click.option(
    "--suite",
    type=click.Path(path_type=Path),
    metavar="SUITE.yaml",
    help="Of a technique: show the layers that it taps in this suite's teachers and students.",
)
@click.option("--format", "form", type=click.Choice(["text", "markdown"]), default="text", show_default=True,
              help="How to print all fields of a suite, or the kinds.")  # fmt: skip
def describe(name: str, suite: Path | None, form: str) -> None:
    """Explain NAME: its fields with defaults and bounds; of a technique also formula and paper.

    \b
    NAME is one of
      a technique, model, task, metric, runtime or provider (see `kdbench list`)
      a class of your own: file.py:Class
      a family of techniques: distillation, pruning, quantization
      suite, for every field of a suite file, or one entry of it:
      recipe, regularizer, teacher, student, case, measure, limits, check
      kinds, for what every technique does on every kind of output
    """
    from kdbench.cli._describe import describe_text, models_of
    from kdbench.cli._kinds_table import kinds_page, kinds_text
    from kdbench.cli._reference import suite_page

    pages = {"suite": suite_page, "kinds": kinds_page}
    if form == "markdown":
        if name not in pages:
            raise click.UsageError("--format markdown is for `describe suite` and `describe kinds`.")
        click.echo(pages[name](), nl=False)
    elif name == "kinds":
        click.echo(kinds_text())
    else:
        click.echo(describe_text(name, models_of(suite) if suite else None))


@click.command()
def schema() -> None:
    """Print the JSON Schema of suite files, by which editors complete and check them."""
    import json

    from kdbench.suite.schema import schema as suite_schema

    click.echo(json.dumps(suite_schema(), indent=2))
