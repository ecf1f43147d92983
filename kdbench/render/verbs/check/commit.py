"""Git's state of a folder, under pytest-benchmark's names."""

import subprocess
from pathlib import Path
from typing import Any

UNVERSIONED = {
    "id": "unversioned",
    "time": None,
    "author_time": None,
    "dirty": False,
    "project": None,
    "branch": "(unknown)",
}
"""The entries that pytest-benchmark writes outside a repository."""
QUESTIONS = {
    "id": ("rev-parse", "HEAD"),
    "time": ("show", "-s", "--format=%cI"),
    "author_time": ("show", "-s", "--format=%aI"),
    "branch": ("rev-parse", "--abbrev-ref", "HEAD"),
    "top": ("rev-parse", "--show-toplevel"),
}


def commit_info(folder: str) -> dict[str, Any]:
    """The commit that is checked out where `folder` lies; UNVERSIONED without a repository, a commit or git."""
    found = {name: _git(folder, *question) for name, question in QUESTIONS.items()}
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    if changed is None or any(answer is None for answer in found.values()):
        return UNVERSIONED
    project = Path(str(found.pop("top"))).name
    branch = "(detached head)" if found["branch"] == "HEAD" else found["branch"]
    return {**found, "dirty": bool(changed), "project": project, "branch": branch}


def _git(folder: str, *question: str) -> str | None:
    command = ["git", "-C", folder, *question]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30, errors="replace")
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()
