"""From finished stages to a results folder: their records, labelled, the files that those name, and what was asked."""

import contextlib
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from kdbench.errors import StoreError, Unreadable
from kdbench.files import slug, within, write_whole
from kdbench.plan.plan import Label, Plan
from kdbench.results import records
from kdbench.results.devices import KeptDevices, device_runs, with_devices
from kdbench.results.plan_json import PLAN_FILE
from kdbench.results.records import Environment, Failed, Latency, Record, Score, labelled
from kdbench.results.task_json import TASK_FILE
from kdbench.run.added_scores import own_scores, score_again
from kdbench.run.kept_data import kept_task, write_sample, write_test_inputs
from kdbench.run.ownership import refuse_foreign
from kdbench.run.plan_json import recorded_plan
from kdbench.run.standing import standing
from kdbench.run.warnings import warnings
from kdbench.stages.names import MODEL, PREDICTIONS, RECORDS, STAGE
from kdbench.stages.store import Store
from kdbench.suite.data_checks import refuse_misfits

RECORDS_FILE = "records.jsonl"
KIND_OF_STAGE = {
    "train": "training",
    "adopt": "training",
    "compress": "compression",
    "evaluate": "score",
    "measure": "latency",
}
"""Kind of stage -> the kind of record that is missing where it failed."""
PATHS = ("onnx_path", "predictions_path", "origin_predictions_path", "log_path")
"""Fields of records that name a file of the folder."""
FOLDERS = ("models", "predictions", "logs")
"""Where those files lie."""


@dataclass(frozen=True)
class Failure:
    """Why a stage has no result."""

    status: str
    """"failed", or "skipped": a stage that it rests on failed."""
    reason: str
    log: str
    """Within the results folder: the log of the stage that failed."""


class Results:
    """One results folder, being written.

    Records are appended as stages finish, so that a stopped run has what it made. `finish` then replaces the file, so
    that it holds each fact once. Nothing is removed but files that the folder's former records name.
    """

    def __init__(self, folder: Path, plan: Plan, store: Store) -> None:
        """Make the folder. Raises StoreError where it cannot be written, or holds anything but this suite's results."""
        self.folder, self.plan, self.store = folder, plan, store
        self._found: dict[Label, list[Record]] = {}
        """The records of finished stages."""
        self._lines: dict[Label, str] = {}
        """Their text in records.jsonl. Raw samples are long, so that each is encoded once."""
        self._former: list[Record] = []
        """The records that the folder had before."""
        self._there: set[tuple[str, int, str | None, str]] = set()
        """Case, seed, target and key of those."""
        self._unread: list[str] = []
        """A sentence for each line of the folder's that is no record."""
        self._devices = KeptDevices(folder)
        self._task_kept = False
        with _writing(folder):
            refuse_foreign(folder, plan.suite.name)
            folder.mkdir(parents=True, exist_ok=True)

    def begin(self, command: str) -> None:
        """Write the plan into a folder that is new, and append the records that the store has and the folder lacks."""
        path = self.folder / RECORDS_FILE
        with _writing(self.folder):
            if path.is_file():
                self._former, self._unread = records.scan(path)
                self._there = {(row.case, row.seed, row.target, row.key) for row in labelled(self._former)}
            if not (self.folder / PLAN_FILE).is_file():
                self.write_plan(command, [])
                records.append(path, self._environments())
        self.add(label for label in self.plan.labels if self.store.has(label.key))

    def write_plan(self, command: str, warnings: Iterable[str]) -> None:
        """Write plan.json and suite.yaml: what was asked, for whoever reads the records later."""
        with _writing(self.folder):
            write_whole(self.folder / "suite.yaml", self.plan.suite.document.text)
            with_devices(recorded_plan(self.plan, command, list(warnings)), device_runs(self.folder)).write(self.folder)

    def add(self, labels: Iterable[Label]) -> None:
        """Take in the records of finished stages; those that the folder does not have are appended at once."""
        self._keep_task()
        found = {label: self._records(label) for label in labels}
        lines = {label: records.to_lines(made) for label, made in found.items()}
        self._found |= found
        self._lines |= lines
        new = (
            text
            for label, text in lines.items()
            if (label.case, label.seed, label.target, label.key) not in self._there
        )
        with _writing(self.folder):
            records.append_lines(self.folder / RECORDS_FILE, "".join(new))

    def finish(self, asked: Sequence[Label], failures: Mapping[str, Failure], command: str) -> list[str]:
        """Replace records.jsonl and plan.json, and remove files that only former records name. Gives the warnings.

        `asked`: the labels that this run was to make; `failures`: key -> why a stage has no result.
        """
        chains = {label.case: self._labels(label)["steps"] for label in self.plan.labels}
        stays = standing(self._former, self.plan, chains, self._found, asked)
        before = self._standing(stays.records)
        made = [record for label in self.plan.labels for record in self._found.get(label, ())]
        after: list[Record] = [*self._missing(asked, failures), *own_scores(self._former, made)]
        after += self._devices.again([*before, *made])
        lines = (self._lines.get(label, "") for label in self.plan.labels)
        written = [*before, *made, *after]
        with _writing(self.folder):
            text = "".join([records.to_lines(before), *lines, records.to_lines(after)])
            write_whole(self.folder / RECORDS_FILE, text)
            self._sweep(written)
        left_out = (f"{sentence} It was left out." for sentence in self._unread)
        said = [*warnings(written, self.plan, self.store, stays), *self._devices.notes(), *left_out]
        self.write_plan(command, said)
        lost = list(score_again(self.folder, self._former, written))
        if lost:
            self.write_plan(command, [*said, *lost])
        return [*said, *lost]

    def _standing(self, standing: Sequence[Record]) -> list[Record]:
        """This machine, and the records that stay as they were."""
        here = list(self._environments())
        known = {each.fingerprint for each in here}
        stay = [each for each in standing if not isinstance(each, Environment) or each.fingerprint not in known]
        return [*here, *stay]

    def _missing(self, asked: Sequence[Label], failures: Mapping[str, Failure]) -> Iterator[Failed]:
        """Why facts are missing: a stage failed, or the target cannot have them."""
        for label in asked:
            if label.key in failures:
                kind, why = KIND_OF_STAGE[self.plan.stages[label.key].kind], failures[label.key]
                yield Failed(**self._labels(label), kind=kind, status=why.status, reason=why.reason, log_path=why.log)
        for label, reason in self.plan.skipped.items():
            for kind in (Score.KIND, Latency.KIND):
                yield Failed(**self._labels(label), kind=kind, status="skipped", reason=reason, by_design=True)

    def _sweep(self, written: Iterable[Record]) -> None:
        """Remove the files that the folder's former records name and its current ones do not."""
        for name in _named(self._former) - _named(written):
            with contextlib.suppress(Unreadable):  # a path that leads out of the folder is nobody's to remove
                if name.partition("/")[0] in FOLDERS:
                    within(self.folder, name).unlink(missing_ok=True)

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
            if fact["kind"] == "score":
                own["predictions_path"] = self._keep(label, PREDICTIONS, label.key, "predictions", ".npz")
                origin = self.plan.stages[label.key].inputs.get("origin")
                if origin is not None:
                    own["origin_predictions_path"] = self._keep(label, PREDICTIONS, origin, "predictions", ".npz")
            if fact["kind"] == "size":
                model = self.plan.stages[label.key].inputs["model"]
                ending = own.get("artefact") or "onnx"
                own["onnx_path"] = self._keep(label, f"{MODEL}.{ending}", model, "models", f".{ending}")
        return records.from_data({"kind": fact["kind"], **shared, **own})

    def _keep(self, label: Label, name: str, key: str, folder: str, ending: str) -> str:
        """Copy a stage's file into the results folder; its path there."""
        path = Path(folder) / slug(label.case) / f"seed{label.seed}-{key[:8]}{ending}"
        self._place(path, partial(shutil.copyfile, self.store.folder(key) / name))
        return path.as_posix()

    def _keep_task(self) -> None:
        """Once the data is decoded, write task.json, and the inputs of the test split where they lie in no files.

        Raises SuiteError where something in the suite does not fit the data.
        """
        spec = next(spec for spec in self.plan.stages.values() if spec.kind == "decode")
        if self._task_kept or not self.store.has(spec.key):
            return
        self._task_kept = True
        decoded = self.store.folder(spec.key)
        kept = kept_task(spec, decoded)
        refuse_misfits(self.plan.suite, kept.description.outputs)
        written = {kept.test_inputs_path: write_test_inputs, kept.sample_path: write_sample}
        with _writing(self.folder):
            for path, write in written.items():
                if path is not None:
                    self._place(Path(path), partial(write, decoded, kept.description))
            for name, place in kept.companion_paths.items():
                self._place(Path(place), partial(shutil.copyfile, decoded / name))
            write_whole(self.folder / TASK_FILE, kept.model_dump_json(indent=1, exclude_none=True))

    def _place(self, path: Path, write: Callable[[Path], object]) -> None:
        """Write a file of the folder, unless it is there already."""
        if not (self.folder / path).exists():
            write_whole(self.folder / path, write)

    def _labels(self, label: Label) -> dict[str, Any]:
        """The fields of a record that say whose it is."""
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
    """Paths of the files that records name."""
    return {name for row in rows for field in PATHS if (name := getattr(row, field, None))}


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
