"""How the cost of a suite's own bookkeeping grows with its stages: `python tests/studies/growth -o report/growth`.

A suite of one case is run for real; a suite of many cases finds copies of its stages in the store, so that nothing is
left to compute. What is timed is kdbench's own work: reading and planning, looking stages up and collecting records,
the report, the choice. Each size has a process of its own, whose memory is told as well.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import made
from page import write

SIZES = (10, 100, 1_000, 10_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stages", type=int, nargs="+", default=list(SIZES), help="about so many; 10 to 10,000")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("-o", "--out", type=Path, help="folder of table.md and growth.png")
    given = parser.parse_args()
    if given.one is not None:
        print(json.dumps(made.costs(given.one, given.stages[0])))
        return
    with tempfile.TemporaryDirectory() as folder:
        made.template(Path(folder))
        found = [_in_a_process(Path(folder), count) for count in given.stages]
    write(found, given.out)


def _in_a_process(folder: Path, count: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--one", str(folder), "--stages", str(count)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{count} stages: {done.stderr}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(found, file=sys.stderr, flush=True)
    return found


if __name__ == "__main__":
    main()
