"""The folders that a run may write into: new or empty ones, and those that hold results of the same suite."""

import json
from pathlib import Path
from typing import Any

from kdbench.errors import StoreError
from kdbench.results.plan_json import PLAN_FILE

UNFINISHED = ".unfinished"
"""How the names of files end that a killed run was writing."""


def refuse_foreign(folder: Path, suite: str) -> None:
    """Raises StoreError for a folder that holds anything but results of the suite of this name, OSError for a file."""
    if not folder.exists() or all(path.name.endswith(UNFINISHED) for path in folder.iterdir()):
        return
    plan = _object(_text(folder / PLAN_FILE))
    if plan.get("joined"):
        raise StoreError(
            f"'{folder}' was joined from published files by `kdbench merge`, and a run would replace what other "
            "machines measured; name another folder with -o."
        )
    holder = _suite_in(folder, plan)
    if holder is None:
        raise StoreError(
            f"'{folder}' is not empty and holds no results of kdbench; name a new or an empty folder with -o."
        )
    if holder != suite:
        raise StoreError(
            f"'{folder}' holds results of the suite '{holder}', not of '{suite}'; name another folder with -o, or "
            "remove that one first."
        )


def _suite_in(folder: Path, plan: dict[str, Any]) -> str | None:
    """The suite whose results a folder holds, as its plan.json says, else its first record; None for other folders."""
    if "cases" in plan and isinstance(plan.get("suite"), str):
        return str(plan["suite"])
    first = _object(_text(folder / "records.jsonl").partition("\n")[0])
    return str(first["suite"]) if {"schema", "kind", "suite"} <= first.keys() else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8") if path.is_file() else ""
    except UnicodeDecodeError:
        return ""


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
