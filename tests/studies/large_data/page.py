"""What each kind of data took, as a Markdown page."""

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import kdbench

STAGES = {"decode": "decode", "train": "train", "export": "export", "evaluate": "judge"}
PAGE = """# Data larger than memory

Written by `python tests/studies/large_data -o report/large-data` (kdbench {version}, Python {python}). Each set of
files is decoded, learnt from for one epoch by a small network, and judged by the exported file, in a process that may
take {limit} MiB beside what it had after the same on a small set (RLIMIT_DATA, which does not count what is mapped from
files). Whatever held a whole split would end it. Numbers are MiB, the most of a stage.

{rows}

In memory there are, by design: some numbers an example (its place, its class, its targets where these are few; about
60 bytes each while a table is shared out into splits), a table's columns one at a time and the different texts of each,
and the answers and targets of the split that is judged. Recordings and torchvision's own data sets are held whole while
they are decoded.
"""


def write(found: Sequence[Mapping[str, Any]], limit: int, folder: Path | None) -> None:
    """Print the page, or write it into a folder."""
    head = ["data", "files", "decoded", *(f"{title}" for title in STAGES.values()), "seconds"]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    for one in found:
        stages = one["stages"]
        numbers = [one["source"], one["decoded"], *(stages[stage][0] for stage in STAGES)]
        cells = [f"{number / 2**20:,.0f}" for number in numbers]
        seconds = sum(seconds for _, seconds in stages.values())
        lines.append("| " + " | ".join([one["title"], *cells, f"{seconds:.0f}"]) + " |")
    text = PAGE.format(
        version=kdbench.__version__, python=platform.python_version(), limit=limit, rows="\n".join(lines)
    )
    if folder is None:
        print(text)
        return
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "README.md").write_text(text, encoding="utf-8")
