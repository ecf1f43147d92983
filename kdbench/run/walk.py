"""Walk a plan: reuse the stages that the store has, run the others, and collect the results as they come.

A stage that fails stops only what rests on it.
"""

from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from kdbench import registry
from kdbench.errors import DamagedStage
from kdbench.plan.companies import companies
from kdbench.plan.estimate import from_store
from kdbench.plan.plan import Label, Plan
from kdbench.plan.rehearsals import awaited
from kdbench.run.collect import Failure, Results
from kdbench.run.executors import DEFAULT, Executor, cores_here
from kdbench.run.interrupts import Interrupts
from kdbench.run.progress import Progress
from kdbench.run.waiting import Waiting
from kdbench.stages.spec import StageSpec
from kdbench.stages.store import Store
from kdbench.stages.worker import Outcome

if TYPE_CHECKING:
    from rich.console import Console

TICK_SECONDS = 0.5


@dataclass
class Summary:
    """The end of a run: how many stages it had, and what became of them."""

    stage_count: int
    reused: int
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def computed(self) -> int:
        return sum(outcome.status == "done" for outcome in self.outcomes.values())


def threads(plan: Plan) -> int:
    """The most threads that a training of the plan takes."""
    return max((recipe.threads for recipe in plan.suite.recipes.values()), default=1)


def default_jobs(plan: Plan) -> int:
    """The most workers with which jobs x threads is no more than the cores of this machine."""
    return max(1, cores_here() // threads(plan))


class Run:
    """A run of the stages that some labels of a plan need."""

    def __init__(
        self,
        plan: Plan,
        labels: list[Label],
        store: Store,
        folder: Path,
        command: str,
        executor: str = DEFAULT,
        address: str | None = None,
    ) -> None:
        """Raises UnknownName for an executor that is not registered, StoreError for a folder that is not its own."""
        self._address = address
        self._make_executor: type[Executor] = registry.resolve("executor", executor)
        self.plan, self.labels, self.store, self.command = plan, labels, store, command
        self.results = Results(folder, plan, store)
        self.damaged: list[str] = []
        self._interrupts = Interrupts()
        self._known: dict[str, bool] = {}
        wanted = {spec.key for spec in plan.needed(labels, self._have)}
        self.awaited = awaited(plan, labels, wanted)
        """Key of a stage to run -> the rehearsals that it waits for; they are counted nowhere, unless they fail."""
        rehearsed = (key for keys in self.awaited.values() for key in keys)
        missing = plan.missing([*wanted, *rehearsed], self._have)
        self.todo = {spec.key: spec for spec in missing if spec.kind != "rehearse"}
        self.rehearsals = {spec.key: spec for spec in missing if spec.kind == "rehearse"}
        self.names = _names(plan)
        inputs = {key for spec in self.todo.values() for key in spec.inputs.values()}
        touched = {label.key for label in labels} | self.todo.keys() | inputs
        self.summary = Summary(len(touched), len(touched - self.todo.keys()))

    def _have(self, key: str) -> bool:
        """Whether the store has a stage undamaged. A damaged one is discarded, to be built again."""
        if key not in self._known:
            self._known[key] = self.store.has(key)
            if self._known[key]:
                try:
                    self.store.verify(key)
                    self.store.touch(key)
                except DamagedStage as error:
                    self._known[key] = False
                    self.damaged.append(str(error))
                    self.store.discard(key)
        return self._known[key]

    def walk(self, jobs: int | None, console: "Console") -> Summary:
        """Run everything that is to do. A KeyboardInterrupt ends the workers at once and is raised again.

        jobs: lists of stages side by side; None for as many as the executor has cores for.
        """
        with self._interrupts:
            self.results.begin(self.command)
            if self.todo:  # a cluster is joined, and worker processes are started, for work alone
                self._compute(jobs, console)
            self._finish()
        return self.summary

    def _compute(self, jobs: int | None, console: "Console") -> None:
        executor = self._make_executor(self.store.root, jobs, threads(self.plan), self._address)
        try:
            estimate = from_store(self.plan, self.store)
            progress = Progress(console, self.todo, self.summary.reused, executor.jobs, estimate, self.store.progress)
            with progress:
                for message in self.damaged:
                    progress.say(f"{message} It is built again.", style="yellow")
                self._work(executor, progress)
                self._measure(executor, progress)
        finally:
            executor.close()

    def _work(self, executor: Executor, progress: Progress) -> None:
        """Run every stage that measures nothing, as many at once as there are jobs."""
        untimed = [spec for spec in self.todo.values() if spec.kind != "measure"]
        together, guess = companies(self.plan.stages.values()), progress.estimate.guess
        waiting = Waiting([*self.rehearsals.values(), *untimed], self.awaited, together, guess)
        flying: set[Future[list[Outcome]]] = set()
        while waiting or flying:
            while len(flying) < executor.jobs and (specs := waiting.take(executor.jobs - len(flying))):
                flying.add(self._submit(executor, specs, progress))
            with self._interrupts.heeded():
                done, _ = wait(flying, timeout=TICK_SECONDS, return_when=FIRST_COMPLETED)
            for future in done:
                flying.remove(future)
                ended = without_innocents(future.result(), waiting)
                self._settle(ended, progress)
                self._free(ended, waiting, progress)
            progress.tick()

    def _free(self, outcomes: list[Outcome], waiting: Waiting, progress: Progress) -> None:
        """Let go of the stages that waited for these: some are ready now, and some never will be."""
        for outcome in outcomes:
            if outcome.status != "failed":
                waiting.done(outcome.key)
                continue
            cause = self.summary.failures[outcome.key]
            for key in waiting.failed(outcome.key):
                refused = outcome.key in self.awaited.get(key, ())
                self._lose(key, cause if refused else replace(cause, status="skipped"), progress)

    def _lose(self, key: str, cause: Failure, progress: Progress) -> None:
        """Note that a stage will not run. Of a rehearsal that will not, the stages that wait for it tell."""
        if key in self.todo:
            progress.skip(key)
            self.summary.failures[key] = cause

    def _measure(self, executor: Executor, progress: Progress) -> None:
        """Measure one target after another. Nothing else runs meanwhile: this process only waits."""
        for target in self.plan.targets:
            mine = {label.key for label in self.plan.labels if label.target == target.id}
            pending = {key: spec for key, spec in self.todo.items() if spec.kind == "measure" and key in mine}
            pending = {key: spec for key, spec in pending.items() if key not in self.summary.outcomes}
            for key, spec in list(pending.items()):
                cause = next((why for k in spec.inputs.values() if (why := self.summary.failures.get(k))), None)
                if cause is not None:
                    del pending[key]
                    self._lose(key, replace(cause, status="skipped"), progress)
            if pending:
                future = self._submit(executor, list(pending.values()), progress, f"measure on {target.id}")
                with self._interrupts.heeded():
                    wait([future])
                self._settle(future.result(), progress)

    def _submit(
        self, executor: Executor, specs: list[StageSpec], progress: Progress, name: str = ""
    ) -> "Future[list[Outcome]]":
        others = f" and {len(specs) - 1} more in step" if len(specs) > 1 else ""
        progress.start(specs, name or self.names[specs[0].key] + others)
        return executor.submit(specs)

    def _settle(self, outcomes: list[Outcome], progress: Progress) -> None:
        for outcome in outcomes:
            name = self.names[outcome.key]
            if outcome.key in self.todo:
                self.summary.outcomes[outcome.key] = outcome
            if outcome.status == "failed":
                outcome = self._failed(outcome, name)
            progress.finish(outcome, name)
            if outcome.status != "failed":
                self.results.add(self.plan.labels_of(outcome.key))

    def _failed(self, outcome: Outcome, name: str) -> Outcome:
        """Note a failure, and keep its log in the results folder under the stage's name."""
        log = self.results.keep_log(name, outcome.log or f"{name}\n{outcome.reason}\n")
        self.summary.failures[outcome.key] = Failure("failed", f"{name}: {outcome.reason}", log)
        return replace(outcome, reason=f"{outcome.reason} (log: {self.results.folder / log})")

    def _finish(self) -> None:
        """Write the results folder as it will stay."""
        self.summary.warnings = self.results.finish(self.labels, self.summary.failures, self.command)


def without_innocents(outcomes: list[Outcome], waiting: Waiting) -> list[Outcome]:
    """The outcomes that stand. When the worker of several stages dies, each goes again alone: only one is to blame."""
    again = [outcome.key for outcome in outcomes if outcome.died and len(outcomes) > 1]
    for key in again:
        waiting.again_alone(key)
    return [outcome for outcome in outcomes if outcome.key not in again]


def _names(plan: Plan) -> dict[str, str]:
    """Key -> the name of a stage for people: its kind and the first row that needs it."""
    rows: dict[str, Label] = {}
    for label in plan.labels:
        for key in plan.lineage(label.key):
            rows.setdefault(key, label)
    names = {key: _name(spec, rows.get(key)) for key, spec in plan.stages.items()}
    return {**names, **{key: f"rehearse: {row}" for row, key in reversed(plan.rehearsed.items())}}


def _name(spec: StageSpec, row: Label | None) -> str:
    technique = f" {spec.parts['technique'].name}" if "technique" in spec.parts else ""
    if row is None or spec.kind == "decode":
        return f"{spec.kind}{technique}"
    where = f" on {row.target}" if spec.kind in ("evaluate", "measure") else ""
    return f"{spec.kind}{technique}: {row.case}, seed {row.seed}{where}"
