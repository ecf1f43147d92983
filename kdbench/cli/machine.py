"""The verb on this machine: doctor."""

import sys
from pathlib import Path

import click

CANNOT = 1


@click.command()
@click.argument("suite", required=False, type=click.Path(path_type=Path), metavar="[SUITE.yaml]")
@click.option("--python", "pythons", multiple=True, metavar="PATH", help="Look at this Python, too; repeatable.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def doctor(suite: Path | None, pythons: tuple[str, ...], form: str) -> None:
    """Say what this machine can measure, what is missing, and the commands that install it.

    Every provider is tried on a tiny model. With a suite: whether each of its targets can be measured here. Exit codes:
    0 all can, 1 a target of the suite, or a Python given with --python, cannot, 2 bad input.
    """
    from rich.console import Console

    from kdbench.doctor import diagnose
    from kdbench.render.verbs.doctor import as_json, as_text
    from kdbench.suite.reader import load

    loaded = load(suite) if suite is not None else None
    with Console(stderr=True).status("looking ...") as status:
        found = diagnose(loaded, pythons, lambda what: status.update(f"{what} ..."))
    click.echo(as_json(found) if form == "json" else as_text(found, Console()))
    if not found.can_all:
        sys.exit(CANNOT)
