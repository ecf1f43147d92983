"""Sizes of both sides' files, as they lie on disk: exact, so there is no chance to allow for."""

from collections.abc import Iterator

from kdbench.check.sides import Scope
from kdbench.check.verdicts import Row, Verdict
from kdbench.errors import StoreError
from kdbench.suite.tolerances import SuiteTolerances

Sized = tuple[int, int, int]
"""Seed, the new file's bytes, the reference's."""


def size_rows(scope: Scope, tolerances: SuiteTolerances) -> Iterator[Row]:
    """A row for each case, on the seed that grew most; a row for each target where targets have files of their own."""
    for case in scope.shared_cases:
        limit = tolerances.at(case).size.max_ratio
        found: dict[str, list[Sized]] = {}
        for target in scope.shared_targets(case):
            for seed in scope.shared_seeds(case, target):
                try:
                    new, its = (side.file(case, seed, target) for side in (scope.new, scope.reference))
                except StoreError as error:
                    yield _errored(case, seed, target, str(error))
                    continue
                found.setdefault(target, []).append((seed, new.byte_count, its.byte_count))
        everywhere = len({tuple(sizes) for sizes in found.values()}) == 1
        for target, sizes in list(found.items())[: 1 if everywhere else None]:
            yield _row(case, None if everywhere else target, sizes, limit)


def _errored(case: str, seed: int, target: str, said: str) -> Row:
    return Row(case=case, seed=seed, kind="size", metric="size", verdict=Verdict.ERRORED, said=said, target=target)


def _row(case: str, target: str | None, sizes: list[Sized], limit: float) -> Row:
    seed, new, reference = max(sizes, key=lambda sized: sized[1] / sized[2])
    ratio = new / reference
    whose = f" (seed {seed}, the largest ratio of {len(sizes)})" if len({sized[1:] for sized in sizes}) > 1 else ""
    return Row(
        case=case,
        seed=seed,
        kind="size",
        metric="size",
        verdict=Verdict.LARGER if ratio > limit else Verdict.OK,
        said=f"{new:,} bytes against {reference:,}{whose}: {ratio:.4f} times; it may be {limit:g}.",
        target=target,
        limit=limit,
        value=ratio,
        new=float(new),
        reference=float(reference),
    )
