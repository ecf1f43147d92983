"""One self-contained HTML page. Everything that came from a suite or a record is escaped by the template."""

import os
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from kdbench import units
from kdbench.evidence import CaseView, Evidence, Setting
from kdbench.evidence.intervals import FEWEST
from kdbench.records import Compression, Size, Training
from kdbench.records import Environment as Machine
from kdbench.render.canvas import COLORS, Figure, inline_svg
from kdbench.render.cells import Column, Table
from kdbench.render.sentences import sentences
from kdbench.render.table import build_table
from kdbench.render.terminal import HIDDEN
from kdbench.render.words import counted, explained, listed, processor, setting_place

SIGNS = {"reference": "◆", "distillation": "●", "pruning": "■", "quantization": "▲", "chain": "✚", "other": "▼"}
"""The figures' markers, for the table's rows."""
SECTIONS = {
    "tradeoff": ("accuracy-latency", "accuracy-size"),
    "latency": ("latency",),
    "training": ("training",),
}


def page(evidence: Evidence, figures: Sequence[Figure], out: Path, written: Sequence[Path]) -> str:
    """The page that will lie in the folder `out`, linking the files `written` beside it."""
    resources = files("kdbench.render")
    maker = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = maker.from_string((resources / "page.html.j2").read_text(encoding="utf-8"))
    table = build_table(evidence)
    main = [column for column in table.columns if column.rank < HIDDEN]
    return template.render(
        css=Markup((resources / "page.css").read_text(encoding="utf-8")),
        plan=evidence.results.plan,
        facts=_facts(evidence),
        sentences=sentences(evidence),
        table=table,
        tables=[("Decision table", main, _groups(main)), ("All columns", table.columns, _groups(table.columns))],
        mark=units.mark,
        sign=_sign,
        colors=COLORS,
        sections=_sections(figures),
        cost=_cost(evidence, table),
        total_time=_total_time(evidence),
        problems=[case for case in evidence.cases if case.problems],
        notices=_notices(evidence),
        suite_text=_suite_text(evidence),
        machine=_machine(evidence),
        models=_models(evidence, out),
        links=_links(evidence, out, written),
    )


def _sign(case: CaseView) -> tuple[str, str]:
    family = case.family if case.family in SIGNS else "other"
    return family, SIGNS[family]


def _facts(evidence: Evidence) -> list[tuple[str, str]]:
    """What was asked, when, on what."""
    results, plan = evidence.results, evidence.results.plan
    troubled = [case.name for case in evidence.cases if case.problems]
    found = {
        "When": "" if results.dates is None else units.period(*results.dates),
        "Processor": processor(evidence),
        "Runtime": listed(_runtimes(evidence)) if evidence.settings else "",
        "Targets": listed(evidence.targets) if evidence.targets else "",
        "Cases": f"{counted(len(plan.cases), 'case')}; {counted(len(troubled), 'case')} with failures or skips"
        if troubled
        else f"{counted(len(plan.cases), 'case')}, all complete",
        "Seeds": ", ".join(str(seed) for seed in plan.seeds)
        + ("" if len(plan.seeds) >= FEWEST else " (too few for intervals over seeds)"),
        "Baseline": plan.baseline,
    }
    return [(name, text) for name, text in found.items() if text]


def _runtimes(evidence: Evidence) -> list[str]:
    return list(dict.fromkeys(view.runtime for case in evidence.cases for view in case.latency.values()))


def _groups(columns: Sequence[Column]) -> list[tuple[str, int]]:
    """Neighbouring columns of one group: its name and how many they are."""
    found: list[tuple[str, int]] = []
    for column in columns:
        if found and found[-1][0] == column.group:
            found[-1] = (column.group, found[-1][1] + 1)
        else:
            found.append((column.group, 1))
    return found


def _sections(figures: Sequence[Figure]) -> dict[str, list[tuple[Figure, Markup]]]:
    return {
        section: [(figure, Markup(inline_svg(figure))) for figure in figures if figure.name in names]
        for section, names in SECTIONS.items()
    }


def _cost(evidence: Evidence, table: Table) -> list[tuple[str, str, str, str]]:
    """(case, wall time, processor time, what it gained) of every case that trained."""
    gains = next((column.cells for column in table.columns if column.key == "difference"), None)
    return [
        (
            case.name,
            units.duration(case.cost.wall_ns),
            units.duration(case.cost.cpu_ns),
            gains[place].text if gains else units.MISSING,
        )
        for place, case in enumerate(evidence.cases)
        if case.cost
    ]


def _total_time(evidence: Evidence) -> str:
    """Of all stages that trained or compressed, each once; several ran side by side."""
    longest: dict[str, int] = {}
    works: list[Training | Compression] = [*evidence.results.of(Training), *evidence.results.of(Compression)]
    for record in works:
        longest[record.key] = max(longest.get(record.key, 0), record.wall_ns or 0)
    return units.duration(sum(longest.values())) if longest else ""


def _notices(evidence: Evidence) -> list[str]:
    """The plan's warnings, then what is to be said of single latencies."""
    named: dict[tuple[Setting, str], list[str]] = {}
    for setting in evidence.settings:
        for case in evidence.cases:
            for word in case.latency[setting].warnings if setting in case.latency else ():
                named.setdefault((setting, word), []).append(case.name)
    timed = [
        f"{setting_place(setting)}: {explained(word)} ({_who(evidence, setting, names)})."
        for (setting, word), names in named.items()
    ]
    return [*evidence.results.plan.warnings, *timed]


def _who(evidence: Evidence, setting: Setting, names: Sequence[str]) -> str:
    timed = [case for case in evidence.cases if setting in case.latency]
    return "every case" if len(names) == len(timed) > 2 else listed(names)


def _suite_text(evidence: Evidence) -> str:
    path = evidence.results.folder / "suite.yaml"
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _machine(evidence: Evidence) -> list[tuple[str, str]]:
    facts: dict[str, str] = dict(evidence.results.plan.versions)
    for record in evidence.results.of(Machine):
        facts |= {name: str(value) for name, value in (record.facts or {}).items()}
        facts["fingerprint"] = record.fingerprint or ""
    return [(name, value) for name, value in facts.items() if value]


def _models(evidence: Evidence, out: Path) -> list[tuple[str, int, str, str]]:
    """(case, seed, link, sha256) of every ONNX file that lies in the results folder."""
    found = [
        (record.case, record.seed, _relative(path, out), record.onnx_sha256 or "")
        for record in evidence.results.of(Size)
        if (path := evidence.results.file(record.onnx_path)) is not None
    ]
    return list(dict.fromkeys(found))


def _links(evidence: Evidence, out: Path, written: Sequence[Path]) -> list[tuple[str, str]]:
    """(text, link) of the files beside the page and the records behind it."""
    folder = evidence.results.folder
    behind = [path for name in ("records.jsonl", "plan.json", "suite.yaml") if (path := folder / name).is_file()]
    beside = [path for path in written if path.name != "index.html"]
    return [(path.name, _relative(path, out)) for path in (*beside, *behind)]


def _relative(path: Path, out: Path) -> str:
    return quote(Path(os.path.relpath(path.resolve(), out.resolve())).as_posix())
