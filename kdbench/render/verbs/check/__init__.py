"""A check in the forms that people and CI read: terminal table, Markdown, JUnit XML, JSON, pytest-benchmark's JSON."""

from pathlib import Path
from typing import TYPE_CHECKING

from kdbench.check import Checked
from kdbench.errors import KdbenchError, StoreError, nearest

if TYPE_CHECKING:
    from rich.console import Console

FORMS = ("text", "markdown", "junit", "json", "pytest-benchmark")


def written(checked: Checked, form: str, console: "Console | None" = None) -> str:
    """The check in one of FORMS; "text" takes the width and colours of `console`, or a plain one's.

    Raises KdbenchError for an unknown form.
    """
    from kdbench.render.verbs.check.benchmark import as_benchmarks
    from kdbench.render.verbs.check.data import as_json
    from kdbench.render.verbs.check.junit import as_junit
    from kdbench.render.verbs.check.markdown import as_markdown
    from kdbench.render.verbs.check.terminal import as_text, plain_console

    if form == "text":
        return as_text(checked, console or plain_console())
    forms = {"markdown": as_markdown, "junit": as_junit, "json": as_json, "pytest-benchmark": as_benchmarks}
    if form not in forms:
        raise KdbenchError(f"a check has no form '{form}'. {nearest(form, FORMS)}")
    return forms[form](checked)


def output(text: str) -> tuple[str, Path]:
    """Form and file of "FORM=FILE". Raises ValueError with a sentence where it is not that."""
    form, sign, name = text.partition("=")
    if not sign or not name:
        raise ValueError(f"expected FORM=FILE, such as junit=check.xml, got '{text}'.")
    if form not in FORMS:
        raise ValueError(f"a check has no form '{form}'. {nearest(form, FORMS)}")
    if Path(name).is_dir():
        raise ValueError(f"'{name}' is a folder; give a file in it.")
    return form, Path(name)


def write(checked: Checked, form: str, path: Path) -> Path:
    """Write the check in one of FORMS over the file `path`, whose folder is made where it is missing.

    Raises StoreError where it cannot be written.
    """
    text = written(checked, form)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text if text.endswith("\n") else f"{text}\n", encoding="utf-8", newline="\n")
    except OSError as error:
        raise StoreError(f"cannot write '{path}' ({error.strerror}); give another file to --output.") from error
    return path
