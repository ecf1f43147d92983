"""Records to something a reader can look at: terminal table, Markdown, LaTeX, CSV, figures, pages."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kdbench.errors import KdbenchError, StoreError, nearest

FORMATS = ("html", "markdown", "latex", "csv", "parquet", "png", "svg", "pdf")
USUAL = ("html", "markdown", "csv", "png", "svg")


def terminal_table(results: Path, width: int | None = None) -> str:
    """The decision table of a results folder for standard output: its width and colours, or `width` characters.

    Raises StoreError where the folder has no records.
    """
    from rich.console import Console

    from kdbench.evidence import evidence
    from kdbench.render.report.terminal import as_text

    return as_text(evidence(results), Console(width=width))


def render(results: Path, out: Path, formats: tuple[str, ...] = USUAL) -> list[Path]:
    """Write a report on the folder `results` into the folder `out`; the paths written, the page first.

    The same records give the same bytes. Raises KdbenchError for an unknown format, StoreError where the folder has no
    records or `out` cannot be written.
    """
    from kdbench.render.report.files import write

    _check(formats)
    with _writing(out):
        return write(results, out, formats)


def render_changes(before: Path, after: Path, out: Path) -> tuple[Path, tuple[str, ...]]:
    """Write what changed between two results folders into `out`; the page's path and its sentences."""
    from kdbench.evidence import evidence
    from kdbench.evidence.changes import changes
    from kdbench.render.report.changes import change_sentences, changes_page

    found = changes(evidence(before), evidence(after))
    page = out / "changes.html"
    with _writing(out):
        out.mkdir(parents=True, exist_ok=True)
        page.write_text(changes_page(found, out), encoding="utf-8", newline="\n")
    return page, tuple(sentence.text for sentence in change_sentences(found))


def render_history(folder: Path, page: Path) -> None:
    """Write a history (`kdbench history append`) as a page: its steps, a figure of its series, a table.

    Raises StoreError where there is no history, or the page cannot be written.
    """
    from kdbench.check.history import history_with_entries
    from kdbench.render.verbs.history_page import history_page

    text = history_page(history_with_entries(folder))
    with _writing(page):
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text, encoding="utf-8", newline="\n")


def render_all(folder: Path, out: Path, formats: tuple[str, ...] = USUAL) -> list[Path]:
    """Write the report of every results folder within `folder`, each beside its records, and an index into `out`.

    The paths of the pages, the index first. Raises StoreError where there is no results folder.
    """
    from kdbench.evidence import evidence
    from kdbench.render.report.index import entry, index, results_under
    from kdbench.render.report.side_by_side import side_by_side

    found = results_under(folder)
    if not found:
        raise StoreError(f"'{folder}' holds no results; give a folder that `kdbench run -o FOLDER` wrote.")
    pages = [render(results, results / "report", formats)[0] for results in found]
    every = [evidence(results) for results in found]
    entries = [entry(one, page, out) for one, page in zip(every, pages, strict=True)]
    with _writing(out):
        out.mkdir(parents=True, exist_ok=True)
        text = index(folder.resolve().name, entries, side_by_side(every))
        (out / "index.html").write_text(text, encoding="utf-8", newline="\n")
    return [out / "index.html", *pages]


def _check(formats: tuple[str, ...]) -> None:
    for name in formats:
        if name not in FORMATS:
            raise KdbenchError(f"there is no format '{name}'. {nearest(name, FORMATS)}")


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"cannot write the report to '{out}' ({error.strerror}); give another folder.") from error
