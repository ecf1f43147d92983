"""A suite of many cases whose every stage is a copy of a real one, and what kdbench's own work on it costs."""

import json
import resource
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from kdbench.choose import choose
from kdbench.plan.plan import Plan
from kdbench.plan.rows import make_plan
from kdbench.render import render
from kdbench.run.walk import Run
from kdbench.stages.names import PREDICTIONS, RECORDS
from kdbench.stages.store import MANIFEST, Store
from kdbench.suite.reader import load
from kdbench.suite.targets import interpreters_of
from kdbench.timing import probe

SEEDS = 5
CHANGED = 0.05
SUITE = """
kdbench: 1
name: growth
task: digits
seeds: [{seeds}]
recipes: {{train: {{epochs: 1, learning_rate: 0.05}}}}
teacher: {{model: mlp, recipe: train}}
student: {{model: {{mlp: {{width: 8}}}}, recipe: train}}
cases:
  from-scratch: []
  soft: [soft_distillation: {{temperature: {{grid: [{temperatures}]}}}}]
measure: [{{provider: cpu, processes: 3, calls: 20, seconds: 0, memory: false, start: false}}]
"""


def template(folder: Path) -> None:
    """Run the suite of one case and one seed in `folder`."""
    plan = _plan(folder / "one.yaml", 1, 1)
    run = Run(plan, plan.labels, Store(folder / "store"), folder / "one", "")
    if run.walk(1, Console(quiet=True)).failures:
        raise SystemExit("the suite of one case did not run")


def costs(folder: Path, count: int) -> dict[str, float]:
    """Processor seconds of each part of a run over about `count` stages that are all in the store, and its memory."""
    cases = max(1, round(count / (4 * SEEDS)))
    path = folder / f"{count}.yaml"
    found: dict[str, float] = {}
    plan = _timed(found, "plan", lambda: _plan(path, cases, SEEDS))
    store = _filled(plan, folder, count)
    run = _timed(found, "look up", lambda: Run(plan, plan.labels, store, folder / f"{count}-results", ""))
    if run.todo:
        raise SystemExit(f"{len(run.todo)} stages of the copied ones are not in the store")
    _timed(found, "collect", lambda: run.walk(1, Console(quiet=True)))
    results = run.results.folder
    _timed(found, "render", lambda: render(results, results / "report", ("html", "markdown", "csv")))
    _timed(found, "choose", lambda: choose(results))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"stages": len(plan.stages), "cases": len(plan.suite.cases), **found, "memory": memory}


def _plan(path: Path, cases: int, seeds: int) -> Plan:
    temperatures = ", ".join(f"{1 + case / 100:.2f}" for case in range(cases))
    path.write_text(SUITE.format(seeds=", ".join(map(str, range(seeds))), temperatures=temperatures))
    suite = load(path)
    return make_plan(suite, probe.machine(*interpreters_of(suite.measure)))


def _filled(plan: Plan, folder: Path, count: int) -> Store:
    """A store that has a copy of a stage of the same kind for each stage of the plan, and answers of its own for each
    file."""
    real, made = Store(folder / "store"), Store(folder / f"{count}-store")
    kinds = {entry.kind: real.folder(entry.key) for entry in real.entries()}
    draw = np.random.default_rng(count)
    for key, spec in plan.stages.items():
        copied = {"copy_function": _linked, "ignore": shutil.ignore_patterns(MANIFEST), "dirs_exist_ok": True}
        shutil.copytree(kinds[spec.kind], made.scratch(key), **copied)
        if spec.kind == "evaluate":
            _answer_anew(made.scratch(key), draw)
        made.publish(key)
    return made


def _answer_anew(stage: Path, draw: np.random.Generator) -> None:
    """Give one in twenty examples another class, and count the right ones again."""
    with np.load(stage / PREDICTIONS) as read:
        arrays = dict(read)
    right = {}
    for split in ("validation", "test"):
        changed = draw.random(len(arrays[split])) < CHANGED
        arrays[split] = np.where(changed, draw.integers(0, 10, len(changed)), arrays[split]).astype(np.int32)
        right[split] = int((arrays[split] == arrays[f"{split}_targets"]).sum())
    (stage / PREDICTIONS).unlink()  # else the file that it is a link to would change
    np.savez(stage / PREDICTIONS, **arrays)
    facts = json.loads((stage / RECORDS).read_text())
    for fact in (fact for fact in facts if fact["kind"] == "score"):
        fact["correct_count"] = right[fact["split"]]
        fact["value"] = right[fact["split"]] / fact["example_count"]
    (stage / RECORDS).unlink()
    (stage / RECORDS).write_text(json.dumps(facts))


def _linked(source: str, target: str) -> None:
    Path(target).hardlink_to(source)


def _timed(found: dict[str, float], name: str, work: Callable[[], Any]) -> Any:
    begin = time.process_time()
    answer = work()
    found[name] = time.process_time() - begin
    return answer
