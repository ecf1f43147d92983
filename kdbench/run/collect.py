"""From finished stages to a results folder: labelled records, the files they name, what was asked. Runs nothing."""

import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from kdbench.errors import StoreError
from kdbench.files import slug, write_whole
from kdbench.measure import energy
from kdbench.plan.plan import Label, Plan
from kdbench.results import records
from kdbench.results.devices import KeptDevices, device_runs, with_devices
from kdbench.results.plan_json import PLAN_FILE
from kdbench.results.records import Accuracy, Compression, Environment, Failed, Latency, Record, Size, labelled
from kdbench.results.task_json import TASK_FILE
from kdbench.run.kept_data import kept_task, write_sample, write_test_inputs
from kdbench.run.ownership import refuse_foreign
from kdbench.run.plan_json import recorded_plan
from kdbench.run.standing import Standing, standing
from kdbench.stages.names import DESCRIPTION, ONNX_FILE, PREDICTIONS, RECORDS, STAGE
from kdbench.stages.store import Store

RECORDS_FILE = "records.jsonl"
KIND_OF_STAGE = {
    "train": "training",
    "adopt": "training",
    "compress": "compression",
    "evaluate": "accuracy",
    "measure": "latency",
}
"""What kind of record says that a stage failed."""
PATHS = ("onnx_path", "predictions_path", "origin_predictions_path", "log_path")
"""Fields of records that name a file of the folder."""
FOLDERS = ("models", "predictions", "logs")
"""Where those files lie."""


@dataclass(frozen=True)
class Failure:
    """Why a stage has no result: it failed itself, or ("skipped") a stage before it did."""

    status: str
    reason: str
    log: str
    """Within the results folder: the log of the stage that failed."""


class Results:
    """One results folder, being written.

    Rows are appended as stages finish, so that a stopped run has what it made; `finish` replaces the file by the
    current rows alone, whole. Nothing is removed but files that the folder's former records name.
    """

    def __init__(self, folder: Path, plan: Plan, store: Store) -> None:
        """Make the folder. Raises StoreError where it cannot be written or holds something else."""
        self.folder, self.plan, self.store = folder, plan, store
        self._rows: dict[Label, list[Record]] = {}
        self._former: list[Record] = []
        self._unread: list[str] = []
        self._devices = KeptDevices(folder)
        self._task_kept = False
        with _writing(folder):
            refuse_foreign(folder, plan.suite.name)
            folder.mkdir(parents=True, exist_ok=True)

    def begin(self, command: str) -> None:
        """Say what is asked in a folder that is new; append the rows that the store has and the folder lacks."""
        path = self.folder / RECORDS_FILE
        with _writing(self.folder):
            if path.is_file():
                self._former, self._unread = records.scan(path)
            if not (self.folder / PLAN_FILE).is_file():
                self.write_plan(command, [])
                records.append(path, self._environments())
        self.add(label for label in self.plan.labels if self.store.has(label.key))

    def write_plan(self, command: str, warnings: Iterable[str]) -> None:
        """plan.json and suite.yaml: what was asked, for whoever reads the records later."""
        with _writing(self.folder):
            write_whole(self.folder / "suite.yaml", self.plan.suite.document.text)
            with_devices(recorded_plan(self.plan, command, list(warnings)), device_runs(self.folder)).write(self.folder)

    def add(self, labels: Iterable[Label]) -> None:
        """Take in the rows of finished stages; those that the folder does not have are appended at once."""
        self._keep_task()
        found = {label: self._records(label) for label in labels}
        self._rows |= found
        there = {(row.case, row.seed, row.target, row.key) for row in labelled(self._former)}
        new = (rows for label, rows in found.items() if (label.case, label.seed, label.target, label.key) not in there)
        with _writing(self.folder):
            records.append(self.folder / RECORDS_FILE, chain.from_iterable(new))

    def finish(self, asked: Iterable[Label], failures: dict[str, Failure], command: str) -> list[str]:
        """Replace records.jsonl and plan.json, remove files that only former records name; the warnings to show."""
        stays = standing(self._former, self.plan, self._chains(), self._rows, asked)
        failed = [self._failed(label, failures[label.key]) for label in asked if label.key in failures]
        own = [row for label in self.plan.labels for row in self._rows.get(label, ())]
        made_here = list(self._environments())
        here = {row.fingerprint for row in made_here}
        others = [row for row in stays.records if not (isinstance(row, Environment) and row.fingerprint in here)]
        written = [*made_here, *others, *own, *failed, *self._skipped()]
        written += self._devices.again(written)
        with _writing(self.folder):
            write_whole(self.folder / RECORDS_FILE, "".join(records.to_line(row) + "\n" for row in written))
        self._sweep(written)
        warnings = [*self._warnings(written), *_left(stays), *(f"{line} It was left out." for line in self._unread)]
        self.write_plan(command, warnings)
        return warnings

    def _chains(self) -> dict[str, Any]:
        return {label.case: self._labels(label)["steps"] for label in self.plan.labels}

    def _failed(self, label: Label, failure: Failure) -> Record:
        """In place of a record of the kind that a label without a result would have had."""
        kind = KIND_OF_STAGE[self.plan.stages[label.key].kind]
        return Failed(
            **self._labels(label), kind=kind, status=failure.status, reason=failure.reason, log_path=failure.log
        )

    def _skipped(self) -> list[Record]:
        """Say of rows that a target cannot have why that is so; nothing failed."""
        return [
            Failed(**self._labels(label), kind=kind, status="skipped", reason=reason)
            for label, reason in self.plan.skipped.items()
            for kind in (Accuracy.KIND, Latency.KIND)
        ]

    def _sweep(self, written: Iterable[Record]) -> None:
        """Remove the files that the folder's former records name and its current ones do not."""
        for name in _named(self._former) - _named(written):
            place = (self.folder / name).resolve()
            if any(place.is_relative_to((self.folder / own).resolve()) for own in FOLDERS):
                place.unlink(missing_ok=True)

    def _warnings(self, written: list[Record]) -> list[str]:
        """What a reader of the whole must know: what decoding left out, students no smaller than their teacher."""
        own = [*self._decoding_notes(), *_no_smaller_than_teacher(written, self.plan), *self._technique_notes(written)]
        return [*own, *self._devices.notes(), *self._without_energy()]

    def _without_energy(self) -> Iterator[str]:
        """Why energy that was asked for is not there."""
        for target in self.plan.targets:
            name, reason = energy.counter(target.entry.provider) if target.entry.energy else ("", "")
            if name is None:
                yield f"no energy was read on {target.id}: {reason}"

    def _technique_notes(self, written: Iterable[Record]) -> list[str]:
        """What techniques said of their work, each sentence once with the seeds it holds for."""
        seeds: dict[tuple[str, str], list[int]] = {}
        for record in written:
            if isinstance(record, Compression):
                for note in record.notes:
                    seeds.setdefault((record.case, note), []).append(record.seed)
        everywhere = len(self.plan.suite.seeds)
        return [
            f"{case}: {note}" if len(which) == everywhere else f"{case}, seed {', '.join(map(str, which))}: {note}"
            for (case, note), which in seeds.items()
        ]

    def _decoding_notes(self) -> list[str]:
        decoded = (key for key, spec in self.plan.stages.items() if spec.kind == "decode" and self.store.has(key))
        return [note for key in decoded for note in self.store.read_json(key, DESCRIPTION)["notes"]]

    def keep_log(self, name: str, text: str) -> str:
        """Write a failed stage's log under the stage's name; its path within the folder."""
        path = Path("logs") / f"{slug(name)}.txt"
        with _writing(self.folder):
            write_whole(self.folder / path, text)
        return path.as_posix()

    def _records(self, label: Label) -> list[Record]:
        stage = self.store.read_json(label.key, STAGE)
        numerics = self.plan.stages[label.key].numerics
        shared = {
            **self._labels(label),
            "created_utc": stage["created_utc"],
            **({"fingerprint": numerics["fingerprint"]} if "fingerprint" in numerics else {}),
        }
        facts = self.store.read_json(label.key, RECORDS)
        return [self._record(fact, label, shared) for fact in facts]

    def _record(self, fact: dict[str, Any], label: Label, shared: dict[str, Any]) -> Record:
        own = {name: value for name, value in fact.items() if name != "kind"}
        with _writing(self.folder):
            if fact["kind"] == "accuracy":
                own["predictions_path"] = self._keep(label, PREDICTIONS, label.key, "predictions", ".npz")
                origin = self.plan.stages[label.key].inputs.get("origin")
                if origin is not None:
                    own["origin_predictions_path"] = self._keep(label, PREDICTIONS, origin, "predictions", ".npz")
            if fact["kind"] == "size":
                model = self.plan.stages[label.key].inputs["model"]
                own["onnx_path"] = self._keep(label, ONNX_FILE, model, "models", ".onnx")
        return records.from_data({"kind": fact["kind"], **shared, **own})

    def _keep(self, label: Label, name: str, key: str, folder: str, ending: str) -> str:
        """A copy of a stage's file in the results folder; its path there."""
        path = Path(folder) / slug(label.case) / f"seed{label.seed}-{key[:8]}{ending}"
        self._place(path, partial(shutil.copyfile, self.store.folder(key) / name))
        return path.as_posix()

    def _keep_task(self) -> None:
        """task.json, and the test inputs where the user does not have them as files; once they are decoded."""
        spec = next(spec for spec in self.plan.stages.values() if spec.kind == "decode")
        if self._task_kept or not self.store.has(spec.key):
            return
        self._task_kept = True
        decoded = self.store.folder(spec.key)
        kept = kept_task(spec, decoded)
        written = {kept.test_inputs_path: write_test_inputs, kept.sample_path: write_sample}
        with _writing(self.folder):
            for path, write in written.items():
                if path is not None:
                    self._place(Path(path), partial(write, decoded, kept.description))
            for name, place in kept.companion_paths.items():
                self._place(Path(place), partial(shutil.copyfile, decoded / name))
            write_whole(self.folder / TASK_FILE, kept.model_dump_json(indent=1, exclude_none=True))

    def _place(self, path: Path, write: Callable[[Path], object]) -> None:
        """Write a file of the folder, whole or not at all; one that is there already stays."""
        if not (self.folder / path).exists():
            write_whole(self.folder / path, write)

    def _labels(self, label: Label) -> dict[str, Any]:
        case = self.plan.cases.get(label.case)
        steps = [{step.spec.name: step.spec.fields} for step in case.steps] if case else []
        return {
            "suite": self.plan.suite.name,
            "case": label.case,
            "seed": label.seed,
            "key": label.key,
            **({"target": label.target} if label.target else {}),
            "lineage": self.plan.lineage(label.key),
            "steps": tuple(steps),
        }

    def _environments(self) -> Iterator[Environment]:
        machine = self.plan.machine
        for found in (*machine.runtimes.values(), *machine.others.values()):
            name = found["fingerprint"]
            yield Environment(
                suite=self.plan.suite.name, key=name, fingerprint=name, facts=found["facts"], also=found["also"]
            )


def _named(rows: Iterable[Record]) -> set[str]:
    """The files of the folder that records name."""
    return {name for row in rows for field in PATHS if (name := getattr(row, field, None))}


def _no_smaller_than_teacher(written: Iterable[Record], plan: Plan) -> list[str]:
    counts = {r.case: r.parameter_count for r in written if isinstance(r, Size) and r.parameter_count}
    pairs = [(case, count, counts.get(plan.taught.get(case, ""))) for case, count in counts.items()]
    return [
        f"{case} has {count:,} parameters, {'as many as' if count == teacher else 'more than'} its teacher"
        f"{'' if count == teacher else f' ({teacher:,})'}."
        for case, count, teacher in pairs
        if teacher is not None and count >= teacher
    ]


def _left(stays: Standing) -> list[str]:
    """What to say of rows that this run did not make."""
    said = []
    if stays.outdated:
        said.append(f"{', '.join(stays.outdated)}: these rows are of the suite as it was before; run them again.")
    if stays.gone:
        said.append(f"{', '.join(stays.gone)}: no longer in the suite, so the results are no longer in the folder.")
    return said


class _writing:
    """Turns an OSError of a results folder into a sentence."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise StoreError(
                f"cannot write '{self.folder}' ({error.strerror}); make room or name another folder with -o, "
                "then run the same command again: what was computed is kept."
            ) from None
