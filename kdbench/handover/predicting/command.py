"""The command line: reads examples, runs the model, prints its answers, or how well it does where these are known."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Sequence
from typing import Any

from kdbench.handover.predicting import arrays
from kdbench.handover.predicting.answers import Keeper, decided, told
from kdbench.handover.predicting.example import FOLDER, BadInput, Example, Examples, Manifest, answering_outputs
from kdbench.handover.predicting.model import answered, open_model
from kdbench.handover.predicting.scores import score_lines

READERS = ("images", "sounds", "tables", "texts")


def main(arguments: Sequence[str]) -> int:
    """Returns the exit code: 2 where what was given cannot be read."""
    manifest: Manifest = json.loads((FOLDER / "manifest.json").read_text(encoding="utf-8"))
    reader = importlib.import_module(f".{manifest['reads']}", __package__) if manifest.get("reads") in READERS else None
    asked = parser(reader).parse_args(arguments)
    try:
        return answer(manifest, asked, examples(manifest, asked, reader))
    except BadInput as error:
        print(error, file=sys.stderr)
        return 2


def parser(reader: Any) -> argparse.ArgumentParser:
    """Its help says what this model reads."""
    found = argparse.ArgumentParser(
        prog="python predict.py",
        description="Run the model beside this file, prepared and run as when it was measured.",
    )
    what = f"{reader.READS}; or " if reader is not None else ""
    found.add_argument(
        "inputs",
        nargs="*",
        metavar="INPUT",
        help=f"{what}an .npz of the model's inputs as they are stored, by their names  [default: inputs.npz]",
    )
    if hasattr(reader, "read_words"):
        found.add_argument("--text", nargs="+", metavar="TEXT", help="a text, or the two of a pair, in place of a file")
    found.add_argument("--each", action="store_true", help="print every answer, also where the true ones are known")
    found.add_argument(
        "-o", dest="out", metavar="FOLDER", help="keep the answers: masks as PNG, all others' numbers as .npy"
    )
    return found


def examples(manifest: Manifest, asked: argparse.Namespace, reader: Any) -> Examples:
    """What the command line names, read one after the other. Raises BadInput."""
    if getattr(asked, "text", None):
        yield from reader.read_words(asked.text, manifest)
        return
    stored = FOLDER / "inputs.npz"
    if not asked.inputs and not stored.exists():
        raise BadInput(f"name what to read: {reader.READS if reader else 'an .npz file'}.")
    for path in asked.inputs or [str(stored)]:
        if path.endswith(".npz"):
            yield from arrays.read(path, manifest)
        elif reader is None:
            raise BadInput(f"{path} is no .npz; this model takes arrays, and names of files that end in .npz.")
        else:
            yield from reader.read(path, manifest)


def answer(manifest: Manifest, asked: argparse.Namespace, found: Examples) -> int:
    """Print what the model says, and keep it where asked to. Raises BadInput where nothing could be read."""
    outputs = answering_outputs(manifest)
    keeper = Keeper(asked.out, outputs) if asked.out else None
    judged: list[tuple[Example, list[Any]]] = []
    count = 0
    for example, given in answered(open_model(manifest), found, manifest):
        count += 1
        if keeper is not None:
            keeper.keep(example.name, given)
        if example.targets is None or asked.each:
            print(example.name, *map(told, outputs, given), sep="\t")
        if example.targets is not None:
            judged.append((example, [decided(one, each) for one, each in zip(outputs, given)]))
    if not count:
        raise BadInput("nothing could be read.")
    for line in score_lines(outputs, judged, manifest["measured"][0]):
        print(line)
    return 0
