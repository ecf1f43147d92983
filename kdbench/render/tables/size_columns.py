"""The decision table's columns of files: how large they are, and what training them cost."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from kdbench import units
from kdbench.evidence import CaseView, Evidence, SizeView
from kdbench.render.tables.columns import ColumnSpec, plain, reason, scaled
from kdbench.render.tables.score_columns import Place, places
from kdbench.render.words.words import baseline_name

NO_SIZE = "no size was recorded"


def size_places(evidence: Evidence) -> list[Place]:
    """The places whose files differ, among the targets that files are deployed to."""
    deployed = [target for target in evidence.targets if target not in evidence.results.reference_targets]
    return places(evidence, _bytes, deployed)


def size_columns(evidence: Evidence) -> Iterator[ColumnSpec[Any]]:
    """A file's bytes, and how many times smaller it is than its baseline's, for each place where files differ."""
    for place in size_places(evidence):
        yield from _columns(evidence, place)


def _columns(evidence: Evidence, place: Place) -> Iterator[ColumnSpec[Any]]:
    target = place.targets[0]

    def sized(
        key: str, title: str, rank: int, scale: tuple[units.Unit, ...], of: Callable[[SizeView], float | None]
    ) -> ColumnSpec[Any]:
        def number(case: CaseView) -> float | None:
            return of(size) if (size := case.size.get(target)) else None

        def missing(case: CaseView) -> str:
            size = case.size.get(target)
            return reason(case.problems_on(target), size.mac_rule if size else NO_SIZE)

        return ColumnSpec(
            key, title, number, scaled(scale), missing, topic="Size", place=place.name, rank=rank, later=place.later,
            targets=place.targets,
        )  # fmt: skip

    def smaller(case: CaseView) -> float | None:
        return (size.compression_ratio.get("baseline") or None) if (size := case.size.get(target)) else None

    yield sized("bytes", "File", 3, units.BYTES, lambda size: size.file_bytes)
    yield ColumnSpec(
        "compression", "Smaller", smaller, _three_digits, NO_SIZE, f"x {baseline_name(evidence)}", "Size", place.name,
        9, place.later, place.targets,
    )  # fmt: skip
    yield sized("gzip", "gzip", 16, units.BYTES, lambda size: size.gzip_bytes)
    yield sized("parameters", "Parameters", 13, units.COUNTS, lambda size: size.parameter_count)
    yield sized("nonzero", "Not zero", 14, units.COUNTS, lambda size: size.nonzero_parameter_count)
    yield sized("macs", "MACs", 12, units.COUNTS, lambda size: size.mac_count)


def _three_digits(found: Sequence[float]) -> tuple[str, list[str]]:
    return "", units.aligned([units.three_digits(one) for one in found])


def _bytes(case: CaseView, target: str) -> float | None:
    size = case.size.get(target)
    return size.file_bytes if size else None


def cost_column() -> ColumnSpec[float]:
    """The wall time of a case's training."""

    def wall(case: CaseView) -> float | None:
        return case.cost.wall_ns if case.cost else None

    return ColumnSpec(
        "training", "Training", wall, plain(units.duration), "no training was recorded", "a seed", "Cost", rank=6
    )
