"""Records to something a reader can look at: terminal table, Markdown, CSV, figures, one HTML page."""

from pathlib import Path

from kdbench.errors import KdbenchError, StoreError, nearest

FORMATS = ("html", "markdown", "csv", "png", "svg", "pdf")
USUAL = ("html", "markdown", "csv", "png", "svg")


def terminal_table(results: Path, width: int | None = None) -> str:
    """The decision table of a results folder for standard output: its width and colours, or `width` characters.

    Raises StoreError where the folder has no records.
    """
    from rich.console import Console

    from kdbench.evidence import evidence
    from kdbench.render.terminal import as_text

    return as_text(evidence(results), Console(width=width))


def render(results: Path, out: Path, formats: tuple[str, ...] = USUAL) -> list[Path]:
    """Write a report on the folder `results` into the folder `out`; the paths written, the page first.

    The same records give the same bytes. Raises KdbenchError for an unknown format, StoreError where the folder has no
    records or `out` cannot be written.
    """
    from kdbench.render.files import write

    for name in formats:
        if name not in FORMATS:
            raise KdbenchError(f"there is no format '{name}'. {nearest(name, FORMATS)}")
    try:
        return write(results, out, formats)
    except OSError as error:
        raise StoreError(f"cannot write the report to '{out}' ({error.strerror}); give another folder.") from error
