"""What kdbench's intervals promise and can see, as Markdown: `python tests/studies/simulation --date DATE -o FILE`."""

import argparse
import platform
from pathlib import Path

import numpy as np
import scipy
import sections
from procedures import RESAMPLES

import kdbench

PAGE = """# The level of kdbench's intervals, and what they can see

Written by `python tests/studies/simulation --date {date} --tables {tables} -o report/statistics/interval-level.md`
({date}; kdbench {version}, Python {python}, numpy {numpy}, scipy {scipy}). Cells are rejections in per cent ± their
Monte-Carlo standard error; 5 is promised, above 7 is bold. `kdbench` is the very function that reports use
(`kdbench.evidence`); the other columns are written apart from it.

## Two equal cases

{tables:,} tables of seeds x 360 examples a row (bootstrap: a quarter, {resamples} resamples), accuracy 95 %, from
a logistic model in which seeds and examples are crossed. Seed sd: of the logit between training seeds. Example sd: of
the logit by which two equally good cases differ on an example whatever the seed. Examples' share: what the examples add
to the variance of the mean that seeds alone show; near 0 % the seeds' noise dominates, near 100 % the examples'.

{levels}

## The same in the limit

The highest level over every mix of the two noises, for normal noise and many examples, by integration (no chance in
it). The crossed interval alone is too narrow with 3 seeds, t over seeds alone has no bound; the wider of both has one.

{limits}

## Other shapes

Seed sd 0.15, example sd 1 and the rest as above, but for what the row says; {shapes_count:,} tables a row.

{shapes}

## What can be seen

Per cent of tables in which a true difference has p < 0.05 alone / p < 0.05/8, as the first of eight comparisons needs
under Holm. Example sd 1, accuracy 95 % against less. A seed sd of 0.08 is about {small} points of accuracy, one of 0.25
about {large}. {fewer:,} tables a row of 360 examples, a fifth of that of 2,000.

{power}

## Nine equal cases

Chance that anything at all is told apart, after Holm within its family: a comparison with the baseline (8), or any pair
(36), which is when letters differ. Example sd 1; {fewer:,} families a row.

{families}

## Pooling the seed variance over the cases of one student: not done

With few seeds a pooled variance has more degrees of freedom, and it is right if all cases vary alike over seeds. They
do not: a quantized network varies with its baseline, a distilled one on its own. Rejections of equal cases, {fewer:,}
families a row (several cases each, so the standard errors are upper bounds):

{pooling}

Own variances cost power, as the table before shows. Five seeds buy it back; a wrong assumption does not.

## Latency: a file as fast as its reference

Processes of 4 rounds of 12 calls. Process level 3 %, drift 2 % a round (both shared by file and reference), calls 2 %,
one in twenty half as long again, and 0.4 % of a file's own luck in a process. Files of several seeds share the
processes. {fewer:,} measurements a row.

{clocks}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--date", required=True, help="written into the page; the clock is not asked")
    parser.add_argument("--tables", type=int, default=10_000, help="a row of the first table (default 10000)")
    parser.add_argument("-o", "--out", type=Path, required=True)
    given = parser.parse_args()
    given.out.write_text(page(given.date, given.tables), encoding="utf-8")


def page(date: str, tables: int) -> str:
    """The whole page; the same arguments and versions give the same text."""
    fewer = tables // 5
    return PAGE.format(
        date=date, tables=tables, fewer=fewer, shapes_count=tables // 2, resamples=RESAMPLES,
        version=kdbench.__version__, python=platform.python_version(), numpy=np.__version__, scipy=scipy.__version__,
        levels=sections.crossed_levels(tables), limits=sections.limits(), shapes=sections.other_shapes(tables // 2),
        small=sections.seed_points(0.08), large=sections.seed_points(0.25), power=sections.power(fewer),
        families=sections.families(fewer), pooling=sections.pooling(fewer), clocks=sections.clocks(fewer),
    )  # fmt: skip


if __name__ == "__main__":
    main()
