"""Verbs that carry models to other devices and their records home: bundle, merge."""

from pathlib import Path

import click

from kdbench.cli._shared import case_option, confirmed, report, seed_option, suite_option, waiting


@click.command("bundle")
@click.argument("results", type=click.Path(path_type=Path, file_okay=False))
@case_option
@seed_option
@click.option("--batch-size", "batch_sizes", type=click.IntRange(1), multiple=True, metavar="N",
              help="Time this batch size; repeatable.  [default: those of the suite]")  # fmt: skip
@click.option("--length", "lengths", type=click.IntRange(1), multiple=True, metavar="N",
              help="Time this length, where lengths vary; repeatable.  [default: those of the results]")  # fmt: skip
@click.option(
    "--examples",
    type=click.IntRange(1),
    metavar="N",
    help="How many test examples to carry.  [default: all that the results keep]",
)
@click.option(
    "--target",
    metavar="ID",
    help="Bundle the files made for this target, where targets have files of their own.  [default: the first target]",
)
@suite_option
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), required=True, metavar="FILE")
def bundle_command(
    results: Path,
    cases: tuple[str, ...],
    seeds: tuple[str, ...],
    batch_sizes: tuple[int, ...],
    lengths: tuple[int, ...],
    examples: int | None,
    target: str | None,
    suite: Path | None,
    output: Path,
) -> None:
    """Pack models, inputs, expected outputs and the measuring program into one file for another device.

    On the device, `python FILE --out record.jsonl` measures them; it needs Python 3.9 or newer, numpy and an
    onnxruntime. Back here, `kdbench merge` adds the record to the results. Baselines and teachers always go along.

    A bundle is a program. To measure one from somebody whom you do not trust, let your own kdbench read it:
    `python -m kdbench.measure.device.command FILE --out record.jsonl`.
    """
    from kdbench import units
    from kdbench.bundle import Asked, bundle

    asked, allowed = Asked(cases, seeds, batch_sizes, lengths, target, examples), confirmed(suite)
    with waiting("packing ..."):
        made = bundle(results, output, asked, allowed)
    for note in made.notes:
        click.echo(note, err=True)
    click.echo(
        f"{made.model_count} models of {made.row_count} rows, {made.example_count} examples: {made.path} "
        f"({units.size(made.byte_count)}, SHA-256 of its manifest {made.digest[:16]})."
    )
    click.echo(
        f"{made.process_count} processes will run there; of their time, timed calls are about "
        f"{units.duration(made.seconds * 1e9)} on a device as fast as this one."
    )
    click.echo(f"On the device: python {made.path.name} --out record.jsonl")


@click.command("merge")
@click.argument("results", type=click.Path(path_type=Path, file_okay=False))
@click.argument("record", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--device", metavar="NAME", help="What tables call the device.  [default: the name in the record]")
def merge_command(results: Path, record: Path, device: str | None) -> None:
    """Add the record that a bundle wrote on a device to a results folder, and make its report again."""
    from kdbench.bundle import merge

    with waiting("merging ..."):
        made = merge(results, record, device)
    for warning in made.warnings:
        click.echo(warning, err=True)
    if made.changed:
        failed = f", {made.failed_count} of them failed there in part" if made.failed_count else ""
        click.echo(f"{made.target}: {made.row_count} rows{failed}.")
        click.echo(f"Report: {report(results)}")
    else:
        click.echo(f"{made.target}: this record was merged already; nothing is changed.")
