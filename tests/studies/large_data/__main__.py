"""Data several times larger than memory, from its files to a judged model: `python tests/studies/large_data -o
report/large-data`.

Each stage of each kind of data has a process of its own. It decodes, trains, exports and judges a small set first, so
that libraries are loaded and warm; then it sets itself a limit on what it may take beside that, and does its stage on
the large set. Linux alone has such a limit (RLIMIT_DATA: what is mapped from files does not count).
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import limited
import made
from page import write

from kdbench.stages import allocator

MIB = 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mebibytes", type=int, default=512, help="about how large each set of files is")
    parser.add_argument("--limit", type=int, default=128, help="MiB that a process may take beside what it began with")
    parser.add_argument("--kind", choices=[*made.KINDS], nargs="+", default=[*made.KINDS])
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--stage", choices=limited.STAGES, help=argparse.SUPPRESS)
    parser.add_argument("-o", "--out", type=Path, help="folder of README.md; left out: printed")
    given = parser.parse_args()
    if given.one is not None:
        allocator.one_heap()  # as in a worker
        print(json.dumps(limited.costs(given.one, given.kind[0], given.stage, given.limit * MIB)))
        return
    found = [_costs(kind, given.mebibytes, given.limit) for kind in given.kind]
    write(found, given.limit, given.out)


def _costs(kind: str, mebibytes: int, limit: int) -> dict[str, object]:
    """What one kind of data costs; the files are removed afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        for size, byte_count in (("small", MIB // 8), ("large", mebibytes * MIB)):
            (Path(folder) / size).mkdir()
            made.KINDS[kind].make(Path(folder) / size, byte_count)
        source = sum(path.stat().st_size for path in Path(folder, "large").rglob("*") if path.is_file())
        stages = {stage: _in_a_process(folder, kind, stage, limit) for stage in limited.STAGES}
        decoded = sum(path.stat().st_size for path in Path(folder, "large", "store").rglob("*_inputs?.npy"))
    found = {"title": made.KINDS[kind].title, "source": source, "decoded": decoded, "stages": stages}
    print(found, file=sys.stderr, flush=True)
    return found


def _in_a_process(folder: str, kind: str, stage: str, limit: int) -> list[float]:
    command = [sys.executable, __file__, "--one", folder, "--kind", kind, "--stage", stage, "--limit", str(limit)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{kind}, {stage}: {done.stderr[-3000:]}")
    costs: list[float] = json.loads(done.stdout.splitlines()[-1])
    return costs


if __name__ == "__main__":
    main()
