"""A results folder as data: its plan, its current records, its stored predictions. Knows no statistics.

The folder may be torn, old or merged from elsewhere: what is missing is derived from the records or left out.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from kdbench.errors import DataError, RecordError, StoreError, UnknownName
from kdbench.measure.target_id import target_name
from kdbench.protocols.data import Output, TaskDescription
from kdbench.protocols.metric import Metric, metric_named
from kdbench.results import records
from kdbench.results.newest import current_records
from kdbench.results.plan_json import RecordedPlan, read_plan
from kdbench.results.predictions import Predictions, judge_of, read_predictions, recorded_metric
from kdbench.results.records import TEACHER, CallSize, Failed, Labelled, Latency, Record, Score, labelled
from kdbench.results.reference import is_reference
from kdbench.results.task_json import read_task
from kdbench.scale import Scale

SHOWN = 3
"""So many lines that are no records are named one by one; the others are counted."""
RecordType = TypeVar("RecordType", bound=Record)


@dataclass(frozen=True)
class Results:
    """One folder, read once."""

    folder: Path
    plan: RecordedPlan
    records: tuple[Record, ...]
    """Current ones only, in file order."""

    def of(self, kind: type[RecordType], case: str | None = None) -> list[RecordType]:
        """The records of a kind, of one case or of all."""
        return [record for record in self._by_kind_and_case.get((kind, case), ()) if isinstance(record, kind)]

    def scores(self, case: str | None = None) -> list[Score]:
        """The scores that cases are compared and chosen by, of one case or of all."""
        return [record for record in self.of(Score, case) if record.decides]

    def failures(self, case: str | None = None, kind: type[Record] | None = None) -> list[Failed]:
        """Why facts are missing: of one case or of all, of one kind of fact or of all."""
        return [record for record in self.of(Failed, case) if kind is None or record.kind == kind.KIND]

    @cached_property
    def _by_kind_and_case(self) -> dict[tuple[type[Record], str | None], list[Record]]:
        """Under a case's name its records, under None everybody's."""
        found: dict[tuple[type[Record], str | None], list[Record]] = {}
        for record in self.records:
            for case in (record.case, None) if isinstance(record, Labelled) else (None,):
                found.setdefault((type(record), case), []).append(record)
        return found

    @cached_property
    def labelled(self) -> tuple[Labelled, ...]:
        """The records that belong to a case."""
        return tuple(labelled(self.records))

    @cached_property
    def case_names(self) -> tuple[str, ...]:
        """The teachers, the baseline, then the rest in the suite's order."""
        facts = {record.case for record in self.labelled}
        known = facts | self.plan.cases.keys()
        first = [name for name in (*self.plan.teachers, self.plan.baseline) if name in known]
        return tuple(dict.fromkeys([*first, *self.plan.cases, *sorted(known)]))

    def teacher_of(self, name: str) -> str | None:
        """The row of a case's teacher; None for the suite's teachers themselves."""
        if name in self.plan.teachers:
            return None
        return self.plan.cases[name].teacher_row if name in self.plan.cases else TEACHER

    @cached_property
    def targets(self) -> tuple[str, ...]:
        """Every target the plan or a record names; those that are references only stand last."""
        recorded = [record.target for record in self.labelled if record.target is not None]
        named = dict.fromkeys([*self.plan.targets, *recorded])
        return tuple(sorted(named, key=lambda target: target in self.reference_targets))

    @cached_property
    def reference_targets(self) -> frozenset[str]:
        """Targets that nobody deploys to: by their session or name, or by the runtime that timed there."""
        timed = {found.target for found in self.of(Latency) if found.target and is_reference("", found.runtime)}
        known = {record.target for record in self.labelled if record.target} | set(self.plan.targets)
        return frozenset(timed | {target for target in known if self._is_reference(target)})

    def _is_reference(self, target: str) -> bool:
        runtime = self.plan.measured(target).get("session", {}).get("runtime")
        return is_reference(self._provider(target), runtime)

    def _provider(self, target: str) -> str:
        """By short name; empty where nothing says it."""
        provider = self.plan.measured(target).get("session", {}).get("provider")
        name = target_name(target)
        return str(provider or (name.provider if name else ""))

    @cached_property
    def dates(self) -> tuple[str, str] | None:
        """When the first and the last record was made, as they say it."""
        known = sorted(record.created_utc for record in self.labelled if record.created_utc)
        return (known[0], known[-1]) if known else None

    def predictions(self, record: Score) -> Predictions | None:
        """What a record's file answered on its split; None where no predictions are stored.

        Raises StoreError where the stored file is damaged or not the record's, UnknownName where nothing here has the
        metric.
        """
        return self._predictions(record, record.predictions_path, record.value)

    def origin_predictions(self, record: Score) -> Predictions | None:
        """As `predictions`, of the uncompressed student's file."""
        return self._predictions(record, record.origin_predictions_path, record.origin_value)

    def _predictions(self, record: Score, stored: str | None, value: float | None) -> Predictions | None:
        key = (stored, record.split, record.output, record.metric)
        if key not in self._known:
            path = self._inside(stored)
            output = self.output(record.output)
            self._known[key] = None if path is None else read_predictions(path, record, output)
        found = self._known[key]
        if found is not None:
            found.check(value, record.example_count, f"{record.case}, seed {record.seed}")
        return found

    @cached_property
    def _known(self) -> dict[tuple[str | None, str, str, str], Predictions | None]:
        """Predictions that were read already: many ask for the same files."""
        return {}

    @property
    def metric_name(self) -> str:
        """The name of the decisive metric: a registered one, or that of a suite's own file."""
        first = next(iter(self.scores()), None)
        if first is not None:
            return first.metric
        return self._description.outputs[0].metrics[0] if self._description else "accuracy"

    @cached_property
    def metric(self) -> Metric:
        """What cases are compared by: the decisive metric; accuracy where nothing says it."""
        scores = self.scores()
        try:
            if scores:
                return judge_of(scores[0], self.output(scores[0].output))
            first = self._description.outputs[0] if self._description else None
            return metric_named(first.metrics[0]).judging(first) if first else metric_named("accuracy")
        except (UnknownName, DataError):
            return recorded_metric(scores[0]) if scores else metric_named("accuracy")

    @cached_property
    def scale(self) -> Scale:
        """How that metric's values are written, and which way is better."""
        metric = self.metric
        return Scale.of(metric.name, metric.unit, metric.unit_name, metric.direction)

    @cached_property
    def _description(self) -> TaskDescription | None:
        """What the task gives; None where the folder does not say."""
        try:
            return read_task(self.folder).description
        except StoreError:
            return None

    @property
    def outputs(self) -> tuple[Output, ...]:
        """The outputs of the task; none where the folder does not say."""
        return self._description.outputs if self._description else ()

    def output(self, name: str) -> Output | None:
        """The output of that name, the first for an empty one; None where the folder does not say."""
        return next((each for each in self.outputs if name in ("", each.name)), None)

    def amount(self, size: CallSize) -> tuple[float, str] | None:
        """How much a call takes, and of what: (1024.0, "tokens") for 8 examples of 128; None where nobody says it.

        Where several axes vary with the same sound or text, the first one counts.
        """
        axes = {axis.name: axis for axis in self._description.axes} if self._description else {}
        told = ((axes[name], length) for name, length in size.lengths if name in axes and axes[name].unit)
        first = next(told, None)
        return None if first is None else (size.batch_size * first[1] * first[0].amount, first[0].unit)

    @property
    def class_names(self) -> tuple[str, ...]:
        """What the task calls its classes; empty where the folder does not say, or it has none."""
        return self._description.class_names if self._description else ()

    @property
    def is_validation_from_train(self) -> bool:
        """Whether the validation examples were taken from the training examples; False where nothing says so."""
        return self._description is not None and self._description.validation_origin == "train"

    def file(self, path: str | None) -> Path | None:
        """A file that a record names, where it exists within the folder."""
        return self._inside(path)

    def _inside(self, path: str | None) -> Path | None:
        if not path:
            return None
        found = (self.folder / path).resolve()
        return found if found.is_relative_to(self.folder.resolve()) and found.is_file() else None


def read_results(folder: Path) -> Results:
    """The folder's plan and current records. Lines that are no records are left out, and named in the plan's warnings.

    Raises StoreError where the folder has no records or a damaged plan, RecordError where no line can be understood.
    """
    path = folder / "records.jsonl"
    if not path.is_file():
        raise StoreError(f"'{folder}' has no records.jsonl; {_groups_of(folder)}")
    everything, bad = records.scan(path)
    if bad and not everything:
        raise RecordError(bad[0])
    current = tuple(current_records(everything))
    plan = (read_plan(folder) or RecordedPlan()).completed(labelled(current))
    return Results(folder, plan.model_copy(update={"warnings": (*plan.warnings, *_left_out(bad))}), current)


def _groups_of(folder: Path) -> str:
    """What to give in place of a folder without records: one of its groups, where a suite was split."""
    groups = sorted(path.parent.name for path in folder.glob("*/records.jsonl"))
    if not groups:
        return "give the folder that `kdbench run -o FOLDER` wrote."
    return f"it holds those of {', '.join(groups)}: give one of these, '{folder / groups[0]}'."


def _left_out(bad: list[str]) -> list[str]:
    """Sentences about lines that are no records: the first few by name, the others by their count."""
    more = [f"{len(bad) - SHOWN} more lines of records.jsonl are no records either."] if len(bad) > SHOWN else []
    return [*(f"{sentence} The line is left out." for sentence in bad[:SHOWN]), *more]
