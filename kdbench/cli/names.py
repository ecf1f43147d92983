"""Verbs on what a suite can name: list, describe, schema."""

from pathlib import Path

import click


@click.command("list")
@click.argument("kind", type=click.Choice(["techniques", "models", "tasks", "metrics", "providers"]))
def list_command(kind: str) -> None:
    """List what a suite can name."""
    from kdbench.cli._listing import list_text

    click.echo(list_text(kind))


@click.command()
@click.argument("name")
@click.option(
    "--suite",
    type=click.Path(path_type=Path),
    metavar="SUITE.yaml",
    help="Show the layers it taps in this suite's teachers and students.",
)
def describe(name: str, suite: Path | None) -> None:
    """Explain a technique, model, task or metric: what it does, its fields with defaults and bounds, its paper."""
    from kdbench.cli._listing import describe_text, models_of

    click.echo(describe_text(name, models_of(suite) if suite else None))


@click.command()
def schema() -> None:
    """Print the JSON Schema of suite files, for editors."""
    import json

    from kdbench.suite.schema import schema as suite_schema

    click.echo(json.dumps(suite_schema(), indent=2))
