"""An Android phone through adb, and LiteRT's own benchmark program on it. Knows no results folder."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kdbench.errors import MeasureError

PLACE = "/data/local/tmp/kdbench"
"""Where programs may be run on a phone that is not rooted."""
PROPERTIES = {
    "model": "ro.product.model",
    "soc": "ro.soc.model",
    "abi": "ro.product.cpu.abi",
    "android": "ro.build.version.release",
    "build": "ro.build.fingerprint",
}
"""Fact of a phone -> the system property that tells it."""
TIMES = re.compile(
    r"Inference timings in us: Init: (?P<init>[\d.e+]+), First inference: (?P<first>[\d.e+]+), "
    r"Warmup \(avg\): (?P<warm>[\d.e+]+), Inference \(avg\): (?P<mean>[\d.e+]+)"
)
"""The line in which benchmark_model sums up (TensorFlow Lite's tools/benchmark, benchmark_tflite_model.cc)."""
DELEGATED = re.compile(r"Replacing (\d+) out of (\d+) node\(s\) with delegate \((\w+)\)")
TIMEOUT_S = 600.0


@dataclass(frozen=True)
class Timed:
    """One run of the program: microseconds as it told them."""

    init_us: float
    first_us: float
    mean_us: float
    delegated_nodes: tuple[int, int] | None
    """(taken by XNNPACK, all); None where the program did not say."""


class Phone:
    """One phone. Every call raises MeasureError where adb, the phone or the program fails."""

    def __init__(self, serial: str | None, adb: str = "adb") -> None:
        """`serial`: as `adb devices` lists it; left out, the only phone there is."""
        found = shutil.which(adb)
        if found is None:
            raise MeasureError("there is no adb here; install Android's platform tools (Debian: `apt install adb`).")
        self._adb = [found, *(("-s", serial) if serial else ())]
        if self._run("get-state").strip() != "device":
            raise MeasureError("the phone is not ready: allow USB debugging on it, and see `adb devices`.")

    def facts(self) -> dict[str, str]:
        """What the phone says of itself; a property that it does not have is left out."""
        said = {name: self.shell("getprop", key).strip() for name, key in PROPERTIES.items()}
        return {name: value for name, value in said.items() if value}

    def push(self, path: Path, name: str, executable: bool = False) -> str:
        """Put a file on the phone; its path there."""
        place = f"{PLACE}/{name}"
        self.shell("mkdir", "-p", PLACE)
        self._run("push", str(path), place)
        if executable:
            self.shell("chmod", "755", place)
        return place

    def clean(self) -> None:
        """Remove everything that was pushed."""
        self.shell("rm", "-rf", PLACE)

    def shell(self, *words: str) -> str:
        """The output of a command on the phone."""
        return self._run("shell", shlex.join(words))

    def benchmark(self, program: str, model: str, threads: int, runs: int) -> Timed:
        """One process of benchmark_model over a file, on inputs of its own making."""
        asked = {
            "graph": model,
            "num_threads": threads,
            "num_runs": runs,
            "warmup_runs": max(1, runs // 10),
            "min_secs": 0,
            "warmup_min_secs": 0,
            "use_xnnpack": "true",
            "verbose": "true",
        }
        return read(self.shell(program, *(f"--{name}={value}" for name, value in asked.items())))

    def _run(self, *words: str) -> str:
        try:
            done = subprocess.run(
                [*self._adb, *words], capture_output=True, text=True, timeout=TIMEOUT_S, check=False, errors="replace"
            )
        except subprocess.TimeoutExpired:
            raise MeasureError(f"adb {words[0]} gave no answer within {TIMEOUT_S:.0f} s.") from None
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip() or f"code {done.returncode}").splitlines()[-1]
            raise MeasureError(f"adb {words[0]} failed: {said.rstrip('.')}.")
        return done.stdout + (done.stderr if words[0] == "shell" else "")


def read(text: str) -> Timed:
    """What the program printed. Raises MeasureError where its sum is not in it."""
    found = TIMES.search(text)
    if found is None:
        said = (text.strip().splitlines() or ["nothing"])[-1]
        raise MeasureError(f"the program on the phone printed no timings; the last line it printed is: {said}")
    taken = DELEGATED.search(text)
    nodes = (int(taken[1]), int(taken[2])) if taken else None
    return Timed(float(found["init"]), float(found["first"]), float(found["mean"]), nodes)


def named(facts: Mapping[str, str]) -> str:
    """A device's name for tables, from its model: lower-case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", facts.get("model", "").lower()).strip("-")[:40].strip("-") or "phone"
