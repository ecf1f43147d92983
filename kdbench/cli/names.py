"""Verbs on what a suite can name: list, describe, schema."""

import click


@click.command("list")
@click.argument("kind", type=click.Choice(["techniques", "models", "tasks", "providers"]))
def list_command(kind: str) -> None:
    """List what a suite can name."""
    from kdbench.listing import list_text

    click.echo(list_text(kind))


@click.command()
@click.argument("name")
def describe(name: str) -> None:
    """Explain a technique, model or task: what it does, its fields with defaults and bounds, its paper."""
    from kdbench.listing import describe_text

    click.echo(describe_text(name))


@click.command()
def schema() -> None:
    """Print the JSON Schema of suite files, for editors."""
    import json

    from kdbench.schema import schema as suite_schema

    click.echo(json.dumps(suite_schema(), indent=2))
