"""How to get the same numbers again: the command, the suite, versions and machine, models, and links to all files."""

from collections.abc import Iterator, Sequence

from kdbench.evidence import Evidence
from kdbench.render.figures.canvas import Figure
from kdbench.render.report.blocks import Block, Code, Facts, Folded, Grid, Line, Link, Links, Report, Section
from kdbench.render.report.provenance import relative
from kdbench.render.report.tidy import estimates, measurements
from kdbench.results.records import Environment, Size

MODELS = (("Case", ""), ("Seed", ""), ("File", ""), ("sha256", ""))
"""(title, unit) of each column."""


def _blocks(report: Report, _: Sequence[Figure]) -> Iterator[Block]:
    if command := report.evidence.results.plan.command:
        yield Code(command)
    if suite := _suite_text(report.evidence):
        yield Folded("The suite as it was run", (Code(suite),))
    if machine := _machine(report.evidence):
        yield Folded("Versions and machine", (Facts(tuple(machine)),))
    if models := _models(report):
        yield Folded(f"Models ({len(models)})", (Grid("ONNX files in the results folder", MODELS, tuple(models)),))
    yield from _links(report)


def _suite_text(evidence: Evidence) -> str:
    """The suite file as it was run; empty where the folder has none."""
    path = evidence.results.folder / "suite.yaml"
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _machine(evidence: Evidence) -> list[tuple[str, str]]:
    """Versions, targets and what every fingerprint says of its machine."""
    found: dict[str, str] = dict(evidence.results.plan.versions)
    found |= {"target": ", ".join(evidence.targets)}
    environments = evidence.results.of(Environment)
    for place, record in enumerate(environments, start=1):
        number = f" {place}" if len(environments) > 1 else ""
        said = {**record.facts, "fingerprint": record.fingerprint, **record.also}
        found |= {f"{name}{number}": _text(value) for name, value in said.items()}
    return [(name, value) for name, value in found.items() if value]


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}={entry}" for name, entry in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(str(entry) for entry in value)
    return "" if value is None else str(value)


def _models(report: Report) -> list[Line]:
    """Every ONNX file of the results folder with its digest, each once."""
    results = report.evidence.results
    found = [
        Line((record.case, str(record.seed), Link("ONNX", relative(path, report.out)), Code(record.onnx_sha256)))
        for record in results.of(Size)
        if (path := results.file(record.onnx_path)) is not None
    ]
    return list(dict.fromkeys(found))


def _links(report: Report) -> Iterator[Links]:
    """The files beside the page, and the records behind it."""
    folder = report.evidence.results.folder
    behind = [path for name in ("records.jsonl", "plan.json", "suite.yaml") if (path := folder / name).is_file()]
    figures = [path for path in report.written if path.parent.name == "figures"]
    tables = [path for path in report.written if path not in figures and path.name != "index.html"]
    for heading, paths in (("Tables", tables), ("Figures", figures), ("Records", behind)):
        if paths:
            yield Links(heading, tuple(Link(path.name, relative(path, report.out)) for path in paths))


AGAIN = Section(
    "again",
    "How to get it again",
    _blocks,
    texts={"measurements.csv": measurements, "estimates.csv": estimates},
)
