"""The verb on finished work: store."""

from pathlib import Path

import click

from kdbench.cli._shared import address_option, executor_option, open_store, plans_of, store_option


@click.command("store")
@store_option
@click.option("--older-than", type=float, metavar="DAYS", help="Remove stages that were not used for DAYS days.")
@click.option(
    "--unused-by",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="SUITE.yaml",
    help="Remove stages that this suite does not use; repeatable: that none of them uses.",
)
@executor_option
@address_option
@click.option("--yes", is_flag=True, help="Remove without asking.")
def store_command(
    store: Path | None,
    older_than: float | None,
    unused_by: tuple[Path, ...],
    executor: str,
    address: str | None,
    yes: bool,
) -> None:
    """Show how much space finished stages take, by kind, and remove those that are not needed.

    A removed stage is computed again when a suite needs it. Given both options, a stage must fit both to be removed.
    """
    from kdbench import units
    from kdbench.cli._plan_text import store_text, sweep

    opened = open_store(store)
    if older_than is None and not unused_by:
        click.echo(store_text(opened))
        return
    plans = [plan for path in unused_by for plan in plans_of(path, opened, executor, address)]
    used = {key for plan in plans for key in (*plan.stages, *plan.rehearsals)} if unused_by else None
    doomed = sweep(opened, older_than, used)
    total = sum(entry.byte_count for entry in doomed)
    click.echo(f"{len(doomed)} stages in {opened.root} can be removed: {units.size(total)}.")
    if doomed and (yes or click.confirm("Remove them?")):
        for entry in doomed:
            opened.discard(entry.key)
        freed = opened.remove_scratch()
        click.echo(f"Removed {units.size(total + freed)}.")
