"""The second table: each compressed case beside the uncompressed student that it came from, one table a target."""

from collections.abc import Callable

from kdbench import units
from kdbench.evidence import CaseView, CompressionView, Evidence, LatencyView, SizeView
from kdbench.evidence.intervals import LEVEL, Estimate
from kdbench.render.tables.accuracy_columns import points_text
from kdbench.render.tables.cells import Cell, Column, Footnotes, Table
from kdbench.render.tables.columns import NO_SIZE
from kdbench.render.tables.latency_columns import NO_KERNELS
from kdbench.render.tables.target_table import TargetTable
from kdbench.render.words.compression_words import ORIGIN, size_word, speed_words, warned
from kdbench.render.words.words import NOT_TIMED, target_place
from kdbench.results.records import TEACHER

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


def compression_tables(evidence: Evidence) -> tuple[TargetTable, ...]:
    """One for each target, with what is larger or slower than before; none where no case compresses."""
    places = tuple(place for place, case in enumerate(evidence.cases) if case.compressed)
    if not places:
        return ()
    cases = tuple(evidence.cases[place] for place in places)
    return tuple(
        TargetTable(target_place(target), _Rows(evidence, cases, target).table(), warned(cases, target), places)
        for target in evidence.targets
    )


class _Rows:
    """Makes the columns of one target's table."""

    def __init__(self, evidence: Evidence, cases: tuple[CaseView, ...], target: str) -> None:
        self.cases, self.target = cases, target
        self.batches = [batch for where, batch in evidence.settings if where == target]
        self.notes = Footnotes()

    def table(self) -> Table:
        timed = [self._latencies(batch) for batch in self.batches]
        columns = [
            Column("case", "Case", "", "", 0, tuple(Cell(case.name) for case in self.cases)),
            Column("words", "Beside uncompressed", "", "", 0, self._views(self._words)),
            self._bytes("file", "File"),
            *(faster for faster, _, _ in timed),
            self._difference(),
            Column("lost", "Lost most", "class, points", "", 0, self._views(self._losses, NO_PREDICTIONS)),
            Column("agrees", "Agrees with uncompressed", "%", "", 0, self._views(self._agreement)),
            *(int8 for _, int8, _ in timed),
            Column("float", "In float", "layers", "", 0, self._sizes(self._in_float, NOT_COUNTED)),
            Column("dtypes", "Weights", "", "", 0, self._sizes(self._dtypes, NOT_COUNTED)),
            self._bytes("gzip", "gzip"),
            self._bytes("zstd", "zstd"),
            self._nonzero(),
            self._macs(),
            Column(
                "smaller_teacher",
                "Smaller",
                f"x {TEACHER}",
                "",
                0,
                self._sizes(self._over_teacher, NO_TEACHER_SIZE),
            ),
            *(faster for _, _, faster in timed),
            Column("agrees_teacher", "Agrees with teacher", "%", "", 0, tuple(map(self._taught, self.cases))),
            Column(
                "cost",
                "Compressing",
                "a seed",
                "",
                0,
                self._views(self._cost, NO_COST),
            ),
        ]
        return Table(self.cases, tuple(columns), self.notes.sentences, self._legend())

    def _missing(self, case: CaseView, otherwise: str) -> Cell:
        return self.notes.missing(case.problems_on(self.target), otherwise)

    def _views(
        self, made: Callable[[CaseView, CompressionView], Cell | None], otherwise: str = NOT_COMPARED
    ) -> tuple[Cell, ...]:
        """Cells of what is compared; None and no view are dashes with a reason."""
        return tuple(
            (view and made(case, view)) or self._missing(case, otherwise)
            for case in self.cases
            for view in [case.compression.get(self.target)]
        )

    def _sizes(self, made: Callable[[SizeView], Cell | None], otherwise: str = NO_SIZE) -> tuple[Cell, ...]:
        return tuple(
            (size and made(size)) or self._missing(case, otherwise if size else NO_SIZE)
            for case in self.cases
            for size in [case.size.get(self.target)]
        )

    def _words(self, case: CaseView, view: CompressionView) -> Cell | None:
        said = [size_word(view.ratio["file"])] if "file" in view.ratio else []
        return Cell("; ".join([*said, *speed_words(view.speedup)])) if said else None

    def _bytes(self, form: str, title: str) -> Column:
        """Bytes, and how many times smaller than before."""
        counts = {case.name: n for case in self.cases if (n := _form(case.size.get(self.target), form)) is not None}
        unit = units.common_unit(list(counts.values()), units.BYTES)
        cells = []
        for case in self.cases:
            view = case.compression.get(self.target)
            if case.name not in counts:
                cells.append(self._missing(case, NO_SIZE))
            elif view is None or form not in view.ratio:
                mark = self.notes.place(NOT_COMPARED)
                cells.append(Cell(units.in_unit(counts[case.name], unit), notes=(mark,)))
            else:
                cells.append(Cell(f"{units.in_unit(counts[case.name], unit)} ({units.ratio(view.ratio[form])})"))
        return Column(form, title, f"{unit.name} (x smaller)", "", 0, tuple(cells))

    def _over_teacher(self, size: SizeView) -> Cell | None:
        ratio = size.compression_ratio.get(TEACHER)
        return None if ratio is None else Cell(units.ratio(ratio))

    def _dtypes(self, size: SizeView) -> Cell | None:
        total = sum(size.weight_bytes_by_dtype.values())
        said = [
            f"{name} {units.size(count)}"
            for name, count in size.weight_bytes_by_dtype.items()
            if count >= LEAST_SHARE * total
        ]
        return Cell(", ".join(said)) if said else None

    def _in_float(self, size: SizeView) -> Cell | None:
        if size.layer_counts is None:
            return None
        in_float, every = size.layer_counts
        return Cell(f"{in_float:g} of {every:g}")

    def _nonzero(self) -> Column:
        counts = [size.nonzero_parameter_count for case in self.cases if (size := case.size.get(self.target))]
        unit = units.common_unit(counts, units.COUNTS)

        def made(size: SizeView) -> Cell:
            few, every = size.nonzero_parameter_count, size.parameter_count
            return Cell(f"{units.in_unit(few, unit)} of {units.in_unit(every, unit)}")

        return Column("nonzero", "Parameters not zero", unit.name, "", 0, self._sizes(made))

    def _macs(self) -> Column:
        pairs = [
            pair for case in self.cases if (view := case.compression.get(self.target)) and (pair := view.mac_counts)
        ]
        unit = units.common_unit([count for pair in pairs for count in pair], units.COUNTS)

        def made(case: CaseView, view: CompressionView) -> Cell | None:
            if view.mac_counts is None:
                return None
            return Cell(" → ".join(units.in_unit(count, unit) for count in view.mac_counts))

        return Column("macs", "MACs", unit.name, "", 0, self._views(made, NO_MACS))

    def _latencies(self, batch: int) -> tuple[Column, Column, Column]:
        """Faster than the uncompressed student, in int8, faster than the teacher."""
        place = f"batch {batch}"
        own = [self._timed(case, batch, self._faster(batch), NO_SPEEDUP) for case in self.cases]
        teacher = [self._timed(case, batch, _faster_than_teacher, NO_TEACHER) for case in self.cases]
        int8 = [self._timed(case, batch, _int8, NO_KERNELS) for case in self.cases]
        return (
            Column("speedup", "Faster", "x uncompressed", place, 0, tuple(own)),
            Column("int8", "In int8", "% of kernels", place, 0, tuple(int8)),
            Column("speedup_teacher", "Faster", f"x {TEACHER}", place, 0, tuple(teacher)),
        )

    def _timed(
        self, case: CaseView, batch: int, made: Callable[[CaseView, LatencyView], Cell | None], otherwise: str
    ) -> Cell:
        view = case.latency.get((self.target, batch))
        return (view and made(case, view)) or self._missing(case, otherwise if view else NOT_TIMED)

    def _faster(self, batch: int) -> Callable[[CaseView, LatencyView], Cell | None]:
        def made(case: CaseView, _: LatencyView) -> Cell | None:
            view = case.compression.get(self.target)
            return _ratio_cell(view.speedup.get(batch)) if view else None

        return made

    def _difference(self) -> Column:
        differences = [view.difference for case in self.cases if (view := case.compression.get(self.target))]
        decimals = units.decimals_for([
            50 * (d.high - d.low) for d in differences if d and d.low is not None and d.high is not None
        ])  # fmt: skip

        def made(case: CaseView, view: CompressionView) -> Cell | None:
            return Cell(points_text(view.difference, decimals)) if view.difference else None

        return Column("difference", "Accuracy beside uncompressed", "points", "", 0, self._views(made))

    def _losses(self, case: CaseView, view: CompressionView) -> Cell | None:
        if view.losses is None:
            return None
        worst = [f"{loss.name}: {units.points(-loss.lost)}" for loss in view.losses[:MOST_CLASSES]]
        return Cell(", ".join(worst) or "none")

    def _agreement(self, case: CaseView, view: CompressionView) -> Cell | None:
        return None if view.agreement is None else Cell(units.percent(view.agreement))

    def _taught(self, case: CaseView) -> Cell:
        view = case.accuracy.get(self.target)
        if view is None or view.agreement is None:
            return self._missing(case, "no agreement with the teacher was recorded")
        return Cell(units.percent(view.agreement))

    def _cost(self, case: CaseView, view: CompressionView) -> Cell | None:
        return Cell(units.duration(view.cost.wall_ns)) if view.cost else None

    def _legend(self) -> tuple[str, ...]:
        sizes = [size for case in self.cases if (size := case.size.get(self.target))]
        views = [view for case in self.cases if (view := case.compression.get(self.target))]
        counts = [loss.example_count for view in views for loss in view.losses or ()]
        said = {
            f"Uncompressed is {ORIGIN}: the same seed's network before its first step that compresses, trained on "
            "labels or distilled.": True,
            "x smaller: bytes of the uncompressed file / bytes of this one; gzip at level 6, zstd at level 3.": True,
            f"Faster than {ORIGIN}: than the same seed's file, timed in the same rounds.": any(
                view.speedup for view in views
            ),
            f"Types of weights below {100 * LEAST_SHARE:.0f} % of the bytes are left out; the parameters of a file "
            "that was worked on are without batch normalisation, which lies folded in them.": bool(sizes),
            "Layers in float: convolutions and matrix products whose weights the file stores as floating-point "
            "numbers, of all such layers; the share of kernels is what the runtime then ran in int8.": bool(sizes),
            **{f"MACs: {rule}.": True for rule in dict.fromkeys(size.mac_rule for size in sizes) if rule},
            f"Accuracy: paired on seeds and test examples, with its {100 * LEVEL:.0f} % interval, not adjusted for the "
            "number of rows.": any(view.difference for view in views),
            "Lost most: the classes of which fewer test examples are right than before, in points of the class's own "
            f"examples, mean over seeds; one example of {min(counts, default=0)} is "
            f"{units.percent(1 / min(counts, default=1))} points.": bool(counts),
            "Compressing is the wall time of the steps that compress, fine-tuning and calibration included.": True,
        }
        return tuple(sentence for sentence, holds in said.items() if holds)


def _form(size: SizeView | None, form: str) -> float | None:
    if size is None:
        return None
    return {"file": size.onnx_bytes, "gzip": size.onnx_gzip_bytes, "zstd": size.onnx_zstd_bytes}[form]


def _ratio_cell(ratio: Estimate | None) -> Cell | None:
    return Cell(units.ratio(ratio.value, ratio.low, ratio.high), value=ratio.value) if ratio else None


def _faster_than_teacher(case: CaseView, view: LatencyView) -> Cell | None:
    return _ratio_cell(view.speedup.get(TEACHER))


def _int8(case: CaseView, view: LatencyView) -> Cell | None:
    share = view.int8_kernel_fraction
    return None if share is None else Cell(units.percent(share, 0), value=share)
