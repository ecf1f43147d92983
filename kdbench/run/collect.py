"""From finished stages to a results folder: labelled records, the files they name, what was asked. Runs nothing."""

import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from kdbench.errors import StoreError
from kdbench.files import slug, write_whole
from kdbench.measure import energy
from kdbench.plan.plan import Label, Plan
from kdbench.results import records
from kdbench.results.devices import KeptDevices, device_runs, with_devices
from kdbench.results.records import Accuracy, Compression, Environment, Latency, Record, Size
from kdbench.results.task_json import TASK_FILE
from kdbench.run.kept_data import kept_task, write_sample, write_test_inputs
from kdbench.run.plan_json import about
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
PATHS = ("onnx_path", "predictions_path", "origin_predictions_path")
"""Fields of records that name a file of the folder."""


@dataclass(frozen=True)
class Failure:
    """Why a stage has no result: it failed itself, or ("skipped") a stage before it did."""

    status: str
    reason: str


class Results:
    """One results folder, being written."""

    def __init__(self, folder: Path, plan: Plan, store: Store) -> None:
        """Make the folder. Raises StoreError where it cannot be written."""
        self.folder, self.plan, self.store = folder, plan, store
        self.written: list[Record] = []
        self._devices = KeptDevices(folder)
        with _writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "suite.yaml").write_text(plan.suite.document.text)

    def write_plan(self, command: str, warnings: Iterable[str]) -> None:
        """plan.json: the labels of this run, for whoever reads the records later."""
        with _writing(self.folder):
            said = with_devices(about(self.plan, command, list(warnings)), device_runs(self.folder))
            write_whole(self.folder / "plan.json", json.dumps(said, indent=1))

    def begin(self) -> None:
        """Records of everything the store has already, in place of what the folder said before."""
        with _writing(self.folder):
            shutil.rmtree(self.folder / "logs", ignore_errors=True)
            (self.folder / TASK_FILE).unlink(missing_ok=True)
            write_whole(self.folder / RECORDS_FILE, "")
            records.append(self.folder / RECORDS_FILE, self._environments())
        self.add(label for label in self.plan.labels if self.store.has(label.key))
        self._add_skipped()
        self.add_devices()

    def add(self, labels: Iterable[Label]) -> None:
        """Append the records of finished stages."""
        self._keep_task()
        lines = [record for label in labels for record in self._records(label)]
        with _writing(self.folder):
            records.append(self.folder / RECORDS_FILE, lines)
        self.written += lines

    def add_devices(self) -> None:
        """Append what other devices measured of files that the folder has (again): once each."""
        with _writing(self.folder):
            records.append(self.folder / RECORDS_FILE, self._devices.again(self.written))

    def add_failures(self, labels: Iterable[Label], failures: dict[str, Failure]) -> None:
        """Append a record of its kind for every label without a result."""
        lines = []
        for label in labels:
            failure = failures[label.key]
            kind = records.TYPES[KIND_OF_STAGE[self.plan.stages[label.key].kind]]
            lines.append(kind(**self._labels(label), status=failure.status, reason=failure.reason))
        with _writing(self.folder):
            records.append(self.folder / RECORDS_FILE, lines)

    def _add_skipped(self) -> None:
        """Say of rows that a target cannot have why that is so; nothing failed."""
        lines = [
            kind(**self._labels(label), status="skipped", reason=reason)
            for label, reason in self.plan.skipped.items()
            for kind in (Accuracy, Latency)
        ]
        with _writing(self.folder):
            records.append(self.folder / RECORDS_FILE, lines)

    def sweep(self) -> None:
        """Remove models and predictions that no record names any more: those of a suite as it was before."""
        named = {getattr(record, name, None) for record in self.written for name in PATHS}
        for folder in ("models", "predictions"):
            for path in (self.folder / folder).rglob("seed*"):
                if path.relative_to(self.folder).as_posix() not in named:
                    path.unlink()

    def warnings(self) -> list[str]:
        """What a reader of the whole must know: what decoding left out, students no smaller than their teacher."""
        own = [*self._decoding_notes(), *self._no_smaller_than_teacher(), *self._technique_notes()]
        return [*own, *self._devices.notes(), *self._without_energy()]

    def _without_energy(self) -> Iterator[str]:
        """Why energy that was asked for is not there."""
        for target in self.plan.targets:
            name, reason = energy.counter(target.entry.provider) if target.entry.energy else ("", "")
            if name is None:
                yield f"no energy was read on {target.id}: {reason}"

    def _technique_notes(self) -> list[str]:
        """What techniques said of their work, each sentence once with the seeds it holds for."""
        seeds: dict[tuple[str, str], list[int]] = {}
        for record in self.written:
            for note in record.notes if isinstance(record, Compression) else ():
                seeds.setdefault((record.case, note), []).append(record.seed)
        everywhere = len(self.plan.suite.seeds)
        return [
            f"{case}: {note}" if len(which) == everywhere else f"{case}, seed {', '.join(map(str, which))}: {note}"
            for (case, note), which in seeds.items()
        ]

    def _decoding_notes(self) -> list[str]:
        decoded = (key for key, spec in self.plan.stages.items() if spec.kind == "decode" and self.store.has(key))
        return [note for key in decoded for note in self.store.read_json(key, DESCRIPTION)["notes"]]

    def _no_smaller_than_teacher(self) -> list[str]:
        counts = {r.case: r.parameter_count for r in self.written if isinstance(r, Size) and r.parameter_count}
        pairs = [(case, count, counts.get(self.plan.taught.get(case, ""))) for case, count in counts.items()]
        return [
            f"{case} has {count:,} parameters, {'as many as' if count == teacher else 'more than'} its teacher"
            f"{'' if count == teacher else f' ({teacher:,})'}."
            for case, count, teacher in pairs
            if teacher is not None and count >= teacher
        ]

    def keep_log(self, name: str, text: str) -> Path:
        """A failed stage's log, named where it failed."""
        path = self.folder / "logs" / f"{slug(name)}.txt"
        with _writing(self.folder):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        return path

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
        line = {"schema": records.SCHEMA, "kind": fact["kind"], **shared, **own}
        return records.from_line(json.dumps(line))

    def _keep(self, label: Label, name: str, key: str, folder: str, ending: str) -> str:
        """A copy of a stage's file in the results folder; its path there."""
        path = Path(folder) / slug(label.case) / f"seed{label.seed}-{key[:8]}{ending}"
        self._place(path, partial(shutil.copyfile, self.store.folder(key) / name))
        return path.as_posix()

    def _keep_task(self) -> None:
        """task.json, and the test inputs where the user does not have them as files; once they are decoded."""
        spec = next(spec for spec in self.plan.stages.values() if spec.kind == "decode")
        if (self.folder / TASK_FILE).exists() or not self.store.has(spec.key):
            return
        decoded = self.store.folder(spec.key)
        kept = kept_task(spec, decoded)
        written = {kept.test_inputs_path: write_test_inputs, kept.sample_path: write_sample}
        with _writing(self.folder):
            for path, write in written.items():
                if path is not None:
                    self._place(Path(path), partial(write, decoded, kept.description))
            write_whole(self.folder / TASK_FILE, kept.model_dump_json(indent=1, exclude_none=True))

    def _place(self, path: Path, write: Callable[[Path], object]) -> None:
        """Write a file of the folder, whole or not at all; one that is there already stays."""
        place = self.folder / path
        if not place.exists():
            write_whole(place, write)

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

    def _environments(self) -> Iterator[Record]:
        machine = self.plan.machine
        for found in (*machine.runtimes.values(), *machine.references.values()):
            name = found["fingerprint"]
            yield Environment(
                suite=self.plan.suite.name, key=name, fingerprint=name, facts=found["facts"], also=found["also"]
            )


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
