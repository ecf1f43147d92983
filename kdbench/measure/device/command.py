"""The device's side of a bundle, `python FILE --out record.jsonl`: what is asked, what the device is, then the run."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import platform
import re
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from kdbench.errors import KdbenchError, MeasureError
from kdbench.measure import __main__ as measuring
from kdbench.measure import jobs
from kdbench.measure.answers import Description
from kdbench.measure.client import Client
from kdbench.measure.device.bundle_file import Bundle, Manifest
from kdbench.measure.device.record_file import SCHEMA, Line, RecordFile
from kdbench.measure.device.run import Passage, say
from kdbench.measure.host import cpu_name
from kdbench.measure.session_spec import HARMLESS
from kdbench.measure.target_id import HERE, target_id

BAD_INPUT, INTERRUPTED = 2, 130
DEVICE = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
QUICK_CALLS, QUICK_PROCESSES = 200, 3
NEEDED = ("numpy", "onnxruntime")
TEMPORARY = ("TMPDIR", "TEMP", "TMP")
"""Environment variables that say where temporary files go."""
PRIVATE = ("hostname_digest",)
"""Facts of a machine that never leave it: a short host name can be guessed from its digest."""


def main(archive: str, arguments: list[str], digest: str | None = None) -> int:
    """Run a bundle; returns the exit code. `digest`: of its manifest, where `archive` itself is the running program.

    Two plain arguments are JOB.json and OUT_FOLDER: so does the bundle start processes of itself.
    """
    if len(arguments) == 2 and not arguments[0].startswith("-"):
        return measuring.main(arguments)
    asked = _parser(archive).parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return _run(archive, asked, digest)
    except KdbenchError as error:
        say(str(error))
        return BAD_INPUT
    except OSError as error:
        say(f"cannot write to the scratch folder ({error.strerror}); make room there or set TMPDIR to another one.")
        return BAD_INPUT
    except KeyboardInterrupt:
        say(f"\nInterrupted; what is finished is in {asked.out}, and the same command goes on from there.")
        return INTERRUPTED


def _parser(archive: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python {os.path.basename(archive)}",
        description="Measure the models of this bundle on this device. Bring the record home: kdbench merge.",
    )
    parser.add_argument("--out", required=True, metavar="record.jsonl", help="the only file written")
    parser.add_argument("--provider", metavar="NAME", help="cpu, openvino, cuda ...  [default: the bundle's]")
    parser.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="of the provider")
    parser.add_argument("--precision", metavar="NAME", help="[default: fp32, the files as they are written]")
    parser.add_argument("--threads", type=int, metavar="N", help="[default: the bundle's]")
    parser.add_argument("--device", metavar="NAME", help="what tables call it  [default: the processor's name]")
    parser.add_argument("--quick", action="store_true", help="fewer calls: a first look, with wide intervals")
    return parser


def _run(archive: str, asked: argparse.Namespace, digest: str | None) -> int:
    _check_interpreter()
    bundle = Bundle(archive, digest)
    if digest is not None:
        bundle.verify_program()
    session = _session(bundle.manifest, asked, is_own=digest is not None)
    out = Path(asked.out)
    if out.exists() and os.path.samefile(out, archive):
        raise MeasureError(f"{out} is the bundle; name another file with --out.")
    with tempfile.TemporaryDirectory(prefix="kdbench-") as scratch, _temporary_files_in(scratch):
        place = Path(scratch)
        client = Client(place, session, program=Path(archive).resolve() if digest is not None else None)
        begin = time.monotonic()
        said = client.describe()
        process_s = time.monotonic() - begin
        measure = _measure(bundle.manifest, asked.quick)
        header = _header(bundle.manifest, session, measure, said, _device(asked.device))
        return Passage(bundle, RecordFile(out, header), header, client, process_s).run()


@contextlib.contextmanager
def _temporary_files_in(folder: str) -> Iterator[None]:
    """Let the processes put temporary files of their own there too."""
    before = {name: os.environ.get(name) for name in TEMPORARY}
    os.environ.update(dict.fromkeys(TEMPORARY, folder))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _check_interpreter() -> None:
    for name in NEEDED:
        if importlib.util.find_spec(name) is None:
            raise MeasureError(
                f"this Python has no {name}; install what is needed: {sys.executable} -m pip install {' '.join(NEEDED)}"
            )


def _device(asked: str | None) -> str:
    """The device's name, from the command line or from its processor; never from its host."""
    if asked is None:
        return device_of(cpu_name()) or platform.machine().lower() or "device"
    if not DEVICE.fullmatch(asked) or asked == HERE:
        raise MeasureError(
            f"--device: '{asked}' cannot be a device's name: up to 40 lower-case letters, digits and . _ -, "
            f"and not '{HERE}'."
        )
    return asked


def device_of(processor: str) -> str:
    """A device's name, made of how its processor is called; empty where no letter of that can be in one."""
    words = re.sub(r"\(\w+\)|@.*|\bprocessor\b|\bcpu\b|\d+-core\b", " ", processor.lower())
    return re.sub(r"[^a-z0-9]+", "-", words).strip("-")[:40].strip("-")


def _session(manifest: Manifest, asked: argparse.Namespace, is_own: bool) -> dict[str, Any]:
    """The bundle's session, or with another provider a plain one of as many threads.

    is_own: the running program came with the bundle, so that whoever started it trusts both. Raises MeasureError,
    also where a bundle that is only read names a plug-in or options, which can load code.
    """
    session = dict(manifest.session)
    named = sorted(name for name, value in session.items() if value and name not in HARMLESS)
    if named and not is_own and asked.provider in (None, session["provider"]):
        said = ", ".join(f"{name} {session[name]!r}" for name in named)
        raise MeasureError(
            f"this bundle wants to be run with {said}, which can load code; if you trust it run it as a program, else "
            "name another provider with --provider."
        )
    if asked.provider is not None and asked.provider != session["provider"]:
        kept = ("threads_intra", "threads_inter", "graph_optimization")
        session = {"provider": asked.provider, **{name: session[name] for name in kept if name in session}}
    if asked.threads is not None:
        session["threads_intra"] = asked.threads
    session["precision"] = asked.precision or session.get("precision", "fp32")
    if asked.option:
        pairs = [text.partition("=") for text in asked.option]
        unnamed = [name for name, equals, _ in pairs if not (name and equals)]
        if unnamed:
            raise MeasureError(f"--option: '{unnamed[0]}' is not NAME=VALUE.")
        session["options"] = {name: value for name, _, value in pairs}
    jobs.make_job({"schema": jobs.SCHEMA, "action": "describe", **session})
    return session


def _measure(manifest: Manifest, quick: bool) -> Line:
    rule, processes = dict(manifest.rule), manifest.processes
    if quick:
        calls = min(QUICK_CALLS, rule.get("min_calls", QUICK_CALLS))
        rule.update(min_calls=calls, min_ns=0, round_call_count=max(1, min(calls, rule.get("round_call_count", 50))))
        processes = min(QUICK_PROCESSES, processes)
    return {
        "batch_sizes": list(manifest.batch_sizes),
        "lengths": [dict(sizes) for sizes in manifest.lengths],
        "processes": processes,
        "memory": manifest.memory,
        "start": bool(manifest.start),
        "rule": rule,
    }


def device_target(device: str, session: Mapping[str, Any]) -> str:
    """What records carry: device, provider, threads and precision."""
    threads, precision = session.get("threads_intra", 1), session.get("precision", "fp32")
    return target_id(device, session["provider"], threads, precision)


def _header(manifest: Manifest, session: dict[str, Any], measure: Line, said: Description, device: str) -> Line:
    return {
        "kind": "device",
        "schema": SCHEMA,
        "bundle": manifest.digest,
        "suite": manifest.suite,
        "device": device,
        "target": device_target(device, session),
        "session": session,
        "measure": measure,
        "sample": {"digest": manifest.sample, "example_count": manifest.example_count},
        "runtime": said["runtime"],
        "runtime_version": said["runtime_version"],
        "versions": said["versions"],
        "facts": said["facts"],
        "also": {name: value for name, value in said["also"].items() if name not in PRIVATE},
        "fingerprint": said["fingerprint"],
        "created_utc": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: python -m kdbench.measure.device.command BUNDLE --out record.jsonl")
    sys.exit(main(sys.argv[1], sys.argv[2:]))
