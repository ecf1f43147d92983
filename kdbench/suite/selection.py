"""Part of a suite, as `--case` and `--seed` choose it by globs."""

from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from kdbench.errors import SuiteError, nearest
from kdbench.suite.cases import Suite


def select(suite: Suite, cases: Sequence[str] = (), seeds: Sequence[str] = ()) -> Suite:
    """The part of a suite that globs choose; no glob means all. A grid's name chooses each of its cases.

    The baseline always stays: ratios refer to it. Raises SuiteError where a glob matches nothing.
    """
    kept = matching("case", cases, list(suite.cases)) | {suite.baseline}
    kept_seeds = matching("seed", seeds, [str(seed) for seed in suite.seeds])
    return replace(
        suite,
        cases={name: case for name, case in suite.cases.items() if name in kept},
        seeds=tuple(seed for seed in suite.seeds if str(seed) in kept_seeds),
    )


def matching(kind: str, globs: Sequence[str], names: Sequence[str]) -> set[str]:
    """The names that globs choose; no glob means all. Raises SuiteError where a glob matches nothing."""
    kept = set() if globs else set(names)
    for glob in globs:
        found = {name for name in names if fnmatchcase(name, glob) or glob in (name, name.partition("/")[0])}
        if not found:
            raise SuiteError(f"no {kind} of this suite matches '{glob}'. {nearest(glob, names)}")
        kept |= found
    return kept
