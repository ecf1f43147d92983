"""The second table: each compressed case beside the uncompressed student that it came from, one table a target."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from kdbench import units
from kdbench.evidence import CaseView, CompressionView, Evidence, LatencyView, SizeView
from kdbench.evidence.compression import ClassLoss
from kdbench.evidence.differences import Difference
from kdbench.evidence.intervals import LEVEL, Estimate
from kdbench.evidence.training import Cost
from kdbench.render.tables.cells import HIDDEN, Table
from kdbench.render.tables.columns import ColumnSpec, case_column, filled, percents, plain, ratios, reason, texts
from kdbench.render.tables.latency_columns import NO_KERNELS
from kdbench.render.tables.score_columns import NO_AGREEMENT, differences, has_teacher
from kdbench.render.tables.size_columns import NO_SIZE
from kdbench.render.tables.target_table import TargetTable
from kdbench.render.words.compression_words import ORIGIN, size_word, speed_words, warned
from kdbench.render.words.words import NOT_TIMED, target_place
from kdbench.results.records import TEACHER, CallSize

NOT_COMPARED = f"these records do not compare it with {ORIGIN}; run the suite again"
NO_PREDICTIONS = "the predictions of both files are not stored for every seed"
NOT_COUNTED = "these records do not say what the file holds; run the suite again"
NO_MACS = "multiply-accumulates were not counted both before and after"
NO_TEACHER_SIZE = "no size of the teacher was recorded"
NO_COST = "no cost of its compressing steps was recorded"
NO_TEACHER = f"it was not timed beside the {TEACHER}"
NO_SPEEDUP = f"it was not timed beside {ORIGIN}"
LEAST_SHARE = 0.01
"""Types with a smaller share of the bytes are left out of the short form."""
MOST_CLASSES = 3
BYTES_OF: dict[str, Callable[[SizeView], float | None]] = {
    "file": lambda size: size.file_bytes,
    "gzip": lambda size: size.gzip_bytes,
    "zstd": lambda size: size.zstd_bytes,
}
"""The bytes of each form in which a file can be shipped."""


def compression_tables(evidence: Evidence) -> tuple[TargetTable, ...]:
    """One table a target, with sentences on what became larger or slower; none if no case compresses."""
    rows = tuple(place for place, case in enumerate(evidence.cases) if case.compressed)
    cases = tuple(evidence.cases[place] for place in rows)
    return tuple(
        TargetTable(target_place(target), _table(evidence, cases, target), warned(cases, target), rows)
        for target in (evidence.targets if rows else ())
    )


def _table(evidence: Evidence, cases: tuple[CaseView, ...], target: str) -> Table:
    columns = [case_column(cases), *filled(_Columns(evidence, target).specs(), cases)]
    return Table(cases, tuple(columns), tuple(_legend(cases, target, evidence.scale.heading)))


class _Columns:
    """Makes the columns of one target's table."""

    def __init__(self, evidence: Evidence, target: str) -> None:
        self.target, self.has_teacher = target, has_teacher(evidence)
        self.scale = evidence.scale
        self.batches = [batch for where, batch in evidence.settings if where == target]

    def specs(self) -> Iterator[ColumnSpec[Any]]:
        """Every column; those of rank HIDDEN have to be opened."""
        yield self._compared("words", "Beside uncompressed", _words, texts())
        yield self._bytes("file", "File", 0)
        for batch in self.batches:
            yield self._timed("speedup", "Faster", batch, self._faster, ratios, NO_SPEEDUP, "x uncompressed", 0)
        yield self._compared(
            "difference",
            f"{self.scale.heading} beside uncompressed",
            _difference,
            lambda found: differences(found, self.scale),
        )
        yield self._compared("lost", "Lost most", lambda view: view.losses, _losses, NO_PREDICTIONS, HIDDEN)
        yield self._compared("agrees", "Agrees with uncompressed", lambda view: view.agreement, percents())
        for batch in self.batches:
            yield self._timed("int8", "In int8", batch, _int8, percents(0), NO_KERNELS, "of kernels", HIDDEN)
        yield self._sized("float", "In float", _in_float, texts("layers"), NOT_COUNTED)
        yield self._sized("dtypes", "Weights", _dtypes, texts(), NOT_COUNTED)
        yield self._bytes("gzip", "gzip", HIDDEN)
        yield self._bytes("zstd", "zstd", HIDDEN)
        yield self._sized("nonzero", "Parameters not zero", lambda size: size, _nonzero, NO_SIZE)
        yield self._compared("macs", "MACs", lambda view: view.mac_counts, _macs, NO_MACS, HIDDEN)
        if self.has_teacher:
            yield from self._beside_teacher()
        yield self._compared("cost", "Compressing", lambda view: view.cost, _cost, NO_COST, HIDDEN)

    def _beside_teacher(self) -> Iterator[ColumnSpec[Any]]:
        def agreement(case: CaseView) -> float | None:
            return view.agreement if (view := case.score.get(self.target)) else None

        def smaller(size: SizeView) -> float | None:
            return size.compression_ratio.get(TEACHER)

        yield self._sized("smaller_teacher", "Smaller", smaller, plain(units.ratio, f"x {TEACHER}"), NO_TEACHER_SIZE)
        for batch in self.batches:
            yield self._timed("speedup_teacher", "Faster", batch, _faster_than_teacher, ratios, NO_TEACHER,
                              f"x {TEACHER}", HIDDEN)  # fmt: skip
        yield ColumnSpec("agrees_teacher", "Agrees with teacher", agreement, percents(), NO_AGREEMENT, rank=HIDDEN,
                         targets=(self.target,))  # fmt: skip

    def _compared(
        self, key: str, title: str, of: Callable[[CompressionView], Any], form: Any, missing: str = NOT_COMPARED,
        rank: int = 0,
    ) -> ColumnSpec[Any]:  # fmt: skip
        """A number of the comparison with the uncompressed student."""

        def number(case: CaseView) -> Any:
            return of(view) if (view := case.compression.get(self.target)) else None

        return ColumnSpec(key, title, number, form, missing, rank=rank, targets=(self.target,))

    def _sized(self, key: str, title: str, of: Callable[[SizeView], Any], form: Any, otherwise: str) -> ColumnSpec[Any]:
        """A number of the file, which a reader has to open."""

        def number(case: CaseView) -> Any:
            return of(size) if (size := case.size.get(self.target)) else None

        def missing(case: CaseView) -> str:
            return self._reason(case, otherwise if self.target in case.size else NO_SIZE)

        return ColumnSpec(key, title, number, form, missing, rank=HIDDEN)

    def _timed(
        self, key: str, title: str, batch: CallSize, of: Callable[[CaseView, LatencyView, CallSize], Any], form: Any,
        otherwise: str, unit: str, rank: int,
    ) -> ColumnSpec[Any]:  # fmt: skip
        """A number of a latency at one batch size."""

        def number(case: CaseView) -> Any:
            return of(case, view, batch) if (view := case.latency.get((self.target, batch))) else None

        def missing(case: CaseView) -> str:
            return self._reason(case, otherwise if (self.target, batch) in case.latency else NOT_TIMED)

        return ColumnSpec(key, title, number, form, missing, unit, place=f"batch {batch}", rank=rank)

    def _bytes(self, form: str, title: str, rank: int) -> ColumnSpec[Any]:
        """Bytes, and how many times smaller than before."""

        def number(case: CaseView) -> tuple[float, float | None] | None:
            size, view = case.size.get(self.target), case.compression.get(self.target)
            count = BYTES_OF[form](size) if size else None
            return None if count is None else (count, view.ratio.get(form) if view else None)

        def notes(case: CaseView) -> list[str]:
            view = case.compression.get(self.target)
            return [] if view and form in view.ratio else [NOT_COMPARED]

        return ColumnSpec(form, title, number, _sizes, NO_SIZE, "(x smaller)", rank=rank, targets=(self.target,),
                          notes=notes)  # fmt: skip

    def _faster(self, case: CaseView, _: LatencyView, batch: CallSize) -> Estimate | None:
        view = case.compression.get(self.target)
        return view.speedup.get(batch) if view else None

    def _reason(self, case: CaseView, otherwise: str) -> str:
        return reason(case.problems_on(self.target), otherwise)


def _words(view: CompressionView) -> str | None:
    said = [size_word(view.ratio["file"])] if "file" in view.ratio else []
    return "; ".join([*said, *speed_words(view.speedup)]) or None if said else None


def _sizes(found: Sequence[tuple[float, float | None]]) -> tuple[str, list[str]]:
    unit = units.common_unit([count for count, _ in found], units.BYTES)
    return unit.name, [
        units.in_unit(count, unit) + (f" ({units.ratio(ratio)})" if ratio is not None else "")
        for count, ratio in found
    ]  # fmt: skip


def _difference(view: CompressionView) -> Difference | None:
    return view.difference


def _losses(found: Sequence[tuple[ClassLoss, ...]]) -> tuple[str, list[str]]:
    said = [", ".join(f"{loss.name}: {units.points(-loss.lost)}" for loss in one[:MOST_CLASSES]) for one in found]
    return "class, points", [text or "none" for text in said]


def _in_float(size: SizeView) -> str | None:
    return None if size.layer_counts is None else f"{size.layer_counts[0]:g} of {size.layer_counts[1]:g}"


def _dtypes(size: SizeView) -> str | None:
    least = LEAST_SHARE * sum(size.weight_bytes_by_dtype.values())
    found = {name: count for name, count in size.weight_bytes_by_dtype.items() if count >= least}
    return ", ".join(f"{name} {units.size(count)}" for name, count in found.items()) or None


def _nonzero(found: Sequence[SizeView]) -> tuple[str, list[str]]:
    unit = units.common_unit([size.nonzero_parameter_count for size in found], units.COUNTS)
    return unit.name, [
        f"{units.in_unit(size.nonzero_parameter_count, unit)} of {units.in_unit(size.parameter_count, unit)}"
        for size in found
    ]


def _macs(found: Sequence[tuple[float, float]]) -> tuple[str, list[str]]:
    unit = units.common_unit([count for pair in found for count in pair], units.COUNTS)
    return unit.name, [" → ".join(units.in_unit(count, unit) for count in pair) for pair in found]


def _int8(_: CaseView, view: LatencyView, batch: CallSize) -> float | None:
    return view.int8_kernel_fraction


def _faster_than_teacher(_: CaseView, view: LatencyView, batch: CallSize) -> Estimate | None:
    return view.speedup.get(TEACHER)


def _cost(found: Sequence[Cost]) -> tuple[str, list[str]]:
    return "a seed", [units.duration(cost.wall_ns) for cost in found]


def _legend(cases: Sequence[CaseView], target: str, heading: str) -> Iterator[str]:
    sizes = [size for case in cases if (size := case.size.get(target))]
    views = [view for case in cases if (view := case.compression.get(target))]
    yield (
        f"Uncompressed is {ORIGIN}: the same seed's network before its first step that compresses, trained on labels "
        "or distilled."
    )
    yield "x smaller: bytes of the uncompressed file / bytes of this one; gzip at level 6, zstd at level 3."
    if any(view.speedup for view in views):
        yield f"Faster than {ORIGIN}: than the same seed's file, timed in the same rounds."
    if sizes:
        yield (
            f"Types of weights below {100 * LEAST_SHARE:.0f} % of the bytes are left out; the parameters of a file "
            "that was worked on are without batch normalisation, which lies folded in them."
        )
        yield (
            "Layers in float: convolutions and matrix products whose weights the file stores as floating-point "
            "numbers, of all such layers; the share of kernels is what the runtime then ran in int8."
        )
    yield from (f"MACs: {rule}." for rule in dict.fromkeys(size.mac_rule for size in sizes) if rule)
    if any(view.difference for view in views):
        yield (
            f"{heading}: paired on seeds and test examples, with its {100 * LEVEL:.0f} % interval, not adjusted for "
            "the number of rows."
        )
    if counts := [loss.example_count for view in views for loss in view.losses or ()]:
        yield (
            "Lost most: the classes of which fewer test examples are right than before, in points of the class's own "
            f"examples, mean over seeds; one example of {min(counts)} is {units.percent(1 / min(counts))} points."
        )
    yield "Compressing is the wall time of the steps that compress, fine-tuning and calibration included."
