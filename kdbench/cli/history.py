"""The verb of results over time: history append, history show."""

from pathlib import Path

import click


@click.group()
def history() -> None:
    """Keep each run's medians and values by commit, and say when one of them stepped."""


@history.command("append")
@click.argument("results", type=click.Path(path_type=Path, file_okay=False))
@click.option("--to", "folder", type=click.Path(path_type=Path, file_okay=False), required=True, metavar="FOLDER",
              help="The history's folder; made where it is not there.")  # fmt: skip
@click.option("--commit", metavar="ID", help="The commit that was run.  [default: what is checked out here]")
@click.option("--accept", is_flag=True, help="Keep this run whole, too: `check --against FOLDER` then holds to it.")
def append_command(results: Path, folder: Path, commit: str | None, accept: bool) -> None:
    """Add the run in RESULTS to a history, a small file of JSON lines. The same run again replaces its entry."""
    from kdbench.check.history import append
    from kdbench.render.verbs.check.commit import commit_info

    found = {"id": commit, "dirty": False} if commit else commit_info(str(Path.cwd()))
    entry, path = append(results, folder, found, accept)
    click.echo(f"{path}: {len(entry.points)} values of {entry.suite} at {entry.commit[:10]}.")
    if accept:
        click.echo(f"Check later results with:  kdbench check NEW --against {folder}")


@history.command("show")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--format", "form", type=click.Choice(["text", "markdown", "json"]), default="text", show_default=True)
@click.option("--html", "page", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="Write a page, too, with a figure of the series.")  # fmt: skip
def show_command(folder: Path, form: str, page: Path | None) -> None:
    """Say how each value moved over the runs in FOLDER, and when it stepped.

    A latency steps where two runs in a row depart from the level the same way, by the rule of `kdbench check` on the
    medians of their processes, on one machine and runtime; a single newest one is suspected. Sizes and scores step
    where they pass the suite's tolerance.
    """
    from kdbench.check.history import history_with_entries
    from kdbench.render import render_history
    from kdbench.render.verbs.history import written

    click.echo(written(history_with_entries(folder), form))
    if page is not None:
        render_history(folder, page)
        click.echo(f"Page: {page}", err=True)
