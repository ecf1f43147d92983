"""Losses inside transformers beside TextBrewer's: `python tests/studies/losses --date 2026-12-01 -o losses.md`.

It needs `pip install textbrewer tensorboardX` beside kdbench.
"""

import argparse
from importlib.metadata import version
from pathlib import Path

import torch
from comparisons import LENGTHS, comparisons, found, textbrewer

import kdbench

HEADING = """# Losses inside transformers, beside another library's

Written by `python tests/studies/losses --date {date} -o report/text/losses.md` ({date}; kdbench {kdbench},
TextBrewer {textbrewer}, torch {torch}). Both libraries' functions on the same random numbers, in double precision:
{count} sentences of {lengths} tokens, padded to {longest}; outputs of 5 classes. The gradient is the student's, its
difference the largest of any one number. Losses on maps, relations and outputs are compared with torchdistill's in
`tests/functional`, and those here a second time with plain loops, sentence by sentence.

| kdbench.functional | TextBrewer | value | difference | gradient's norm | difference | how theirs is used |
|:---|:---|---:|---:|---:|---:|:---|
"""


def main() -> None:
    given = _arguments()
    rows = [(one, found(one)) for one in comparisons(textbrewer())]
    lines = [
        f"| `{one.name}` | `{one.theirs}` | {its.value:.6f} | {its.difference:.1e} | {its.gradient_norm:.6f} | "
        f"{its.gradient_difference:.1e} | {one.said} |"
        for one, its in rows
    ]
    heading = HEADING.format(
        date=given.date,
        kdbench=kdbench.__version__,
        textbrewer=version("textbrewer"),
        torch=torch.__version__.partition("+")[0],
        count=len(LENGTHS),
        lengths=", ".join(map(str, LENGTHS)),
        longest=max(LENGTHS),
    )
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(heading + "\n".join(lines) + "\n", encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python tests/studies/losses")
    parser.add_argument("--date", required=True, help="the day, for the page")
    parser.add_argument("-o", dest="out", type=Path, required=True, metavar="FILE")
    return parser.parse_args()


if __name__ == "__main__":
    main()
