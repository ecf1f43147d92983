"""Verbs that carry models to other devices and their records home: bundle, merge."""

import zipfile
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
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RESULTS RECORD | FILE...")
@click.option("--device", metavar="NAME", help="What tables call the device of RECORD.  [default: the name in it]")
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), metavar="FOLDER",
              help="The folder that published FILEs become; new or empty.")  # fmt: skip
def merge_command(paths: tuple[Path, ...], device: str | None, output: Path | None) -> None:
    """Add the record that a bundle wrote on a device to a results folder, and make its report again.

    Or, with -o: join files of `kdbench publish` of several people and machines into one results folder with its report.
    Files join by case, model and target. They must be of one suite, and have the same models under the same names.
    """
    if output is not None:
        _check_join(paths, device)
        _join(paths, output)
        return
    if len(paths) != 2 or not paths[0].is_dir():
        raise click.UsageError(
            "give a results folder and the record of a device, or files of `kdbench publish` and -o FOLDER."
        )
    if zipfile.is_zipfile(paths[1]):
        raise click.UsageError(
            f"'{paths[1]}' is no record of a device; a published file is joined with others: kdbench publish "
            f"{paths[0]} -o MINE, then kdbench merge MINE {paths[1]} -o FOLDER"
        )
    _merge(*paths, device)


def _check_join(paths: tuple[Path, ...], device: str | None) -> None:
    if device is not None:
        raise click.UsageError(
            "--device names the device of one record; with -o, machines bear the names in the files."
        )
    for path in paths:
        if path.is_dir():
            raise click.UsageError(f"'{path}' is a folder; make a file of it first: kdbench publish {path} -o FILE")


def _join(paths: tuple[Path, ...], output: Path) -> None:
    from kdbench.publish import join

    with waiting("joining ..."):
        made = join(paths, output)
    for note in made.notes:
        click.echo(note, err=True)
    page = report(output)
    for path, target, row_count in made.targets:
        click.echo(f"{path}: {target}, {row_count} rows.")
    click.echo(f"Report: {page}")


def _merge(results: Path, record: Path, device: str | None) -> None:
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


@click.command("phone")
@click.argument("results", type=click.Path(path_type=Path, file_okay=False))
@click.option("--program", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=True, metavar="FILE",
              help="LiteRT's benchmark_model for the phone's processor (android_arm64).")  # fmt: skip
@click.option("--serial", metavar="ID", help="Which phone, as `adb devices` lists it.  [default: the only one]")
@click.option("--target", metavar="ID", help="Whose LiteRT files to carry.  [default: the first target that has some]")
@click.option("--device", metavar="NAME", help="What tables call the phone.  [default: its model]")
@click.option("--threads", type=click.IntRange(1), metavar="N", help="[default: those of the target]")
@click.option("--processes", type=click.IntRange(3), default=5, show_default=True, metavar="N",
              help="Runs of the program for each file and batch size.")  # fmt: skip
@click.option("--runs", type=click.IntRange(1), default=50, show_default=True, metavar="N", help="Calls in each.")
def phone_command(
    results: Path,
    program: Path,
    serial: str | None,
    target: str | None,
    device: str | None,
    threads: int | None,
    processes: int,
    runs: int,
) -> None:
    """Time the LiteRT files of a results folder on an Android phone, by adb, and make the report again.

    The suite measures with `provider: litert` first, which makes the files. They and the program go to
    /data/local/tmp/kdbench on the phone, and are removed again. The program makes its own inputs, so that no accuracy
    is measured there, and tells the mean of its calls alone.
    """
    from kdbench.bundle.adb import Phone
    from kdbench.bundle.phone import Plan, time_on_phone

    plan = Plan(program, target, device, threads, processes, runs)
    made = time_on_phone(results, Phone(serial), plan, lambda what: click.echo(what, err=True))
    click.echo(f"{made}: timed on the phone; no accuracy was measured there.")
    click.echo(f"Report: {report(results)}")


@click.command("publish")
@click.argument("results", type=click.Path(path_type=Path, file_okay=False))
@click.option("--device", metavar="NAME", help="What tables call this machine.  [default: made of its processor]")
@click.option("--models", is_flag=True, help="Put the ONNX files in, too.")
@click.option("--no-answers", is_flag=True,
              help="Leave out what each model answered to each test example, and the true answers.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), required=True, metavar="FILE")
def publish_command(results: Path, device: str | None, models: bool, no_answers: bool, output: Path) -> None:
    """Make one file of a results folder, for other people: what was measured, without what says whose machine it was.

    In it: every measurement, the models' SHA-256, the suite, processor, system and versions, and what each model
    answered to each example (intervals of differences come of that). Not in it: inputs, logs, the host's name, and the
    folders of paths. `kdbench merge FILE FILE ... -o FOLDER` joins such files into one report.
    """
    from kdbench import units
    from kdbench.publish import publish

    with waiting("packing ..."):
        made = publish(results, output, device, models, not no_answers)
    for warning in made.warnings:
        click.echo(warning, err=True)
    click.echo(
        f"{made.path} ({units.size(made.byte_count)}): suite {made.suite}, {len(made.cases)} cases on "
        f"{', '.join(made.targets)}."
    )
    held = [
        f"{made.record_count} records",
        f"the SHA-256 of {made.digest_count} models",
        "the suite, the task, processor, system and versions",
        f"{made.answer_count} files of answers and true answers" if made.answer_count else "",
        f"{made.model_count} models" if made.model_count else "",
    ]
    kept = ["inputs", "logs", "the host's name", "folders of paths", "" if made.model_count else "models (--models)"]
    click.echo(f"In it: {'; '.join(filter(None, held))}.")
    click.echo(f"Not in it: {'; '.join(filter(None, kept))}.")
    click.echo(f"Join it with others: kdbench merge {made.path} OTHER -o FOLDER")
