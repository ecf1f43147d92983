"""Suites that a page must survive: names made to break markup, quoting, paths and formats; and very many cases."""

import json
from dataclasses import replace
from pathlib import Path

from folders import STEPS, TRUTH, Folder

from kdbench.results import records
from kdbench.results.records import Latency, Record, labelled

HOSTILE = (
    "<script>alert(1)</script>", "</style><b>x", "a\"b'c", "../../etc/passwd", "back\\slash", "a`b`c", "{{ 7 * 7 }}",
    "%s %d {0}", "&amp;", "$x^2$_{1}", "a|b,c;d", "Ünïcödé 名前", "a=b/c=1", "-->]]>", "javascript:alert(1)",
    "x" * 120,
)  # fmt: skip


def write_hostile(path: Path) -> Path:
    """Hostile names, half of the cases without latency, one with a single seed."""
    steps = {"from-scratch": [], **dict.fromkeys(HOSTILE, STEPS["soft"])}
    without = frozenset(HOSTILE[::2])
    folder = Folder(path, steps=steps, batch_sizes=(1,), about=HOSTILE[0], warnings=HOSTILE[:2], call_count=70,
                    without_latency=without, failed={HOSTILE[4]: HOSTILE[0]}).write()  # fmt: skip
    file = folder / "records.jsonl"
    kept = [record for record in labelled(records.read(file)) if record.case != HOSTILE[2] or record.seed == 0]
    file.unlink()
    records.append(file, [_spoiled(record) for record in kept])
    return folder


def _spoiled(record: Record) -> Record:
    if isinstance(record, Latency) and record.case == HOSTILE[1]:
        return replace(record, warnings=("</li><script>alert(2)</script>",))
    return record


def many(path: Path, count: int) -> Folder:
    """So many cases of one seed, no two alike in latency and size."""
    steps = {"from-scratch": [], **{f"case/{place}<i>": STEPS["soft"] for place in range(count)}}
    for place in range(count):
        TRUTH[f"case/{place}<i>"] = (2 + place % 7 / 3, 20 + place, 30_000 + 500 * place, 52_000, 1_450_000)
    return Folder(path, steps=steps, seeds=(0,), batch_sizes=(1, 32), predictions=False, call_count=30)


def spoil_plan(path: Path) -> None:
    """A plan whose every text is markup."""
    plan = json.loads((path / "plan.json").read_text())
    plan |= {"suite": HOSTILE[0], "command": HOSTILE[1], "versions": {HOSTILE[0]: HOSTILE[1]}}
    (path / "plan.json").write_text(json.dumps(plan))
