"""The doctor's findings for a terminal or as JSON: troubles first, commands on lines of their own, to be copied."""

import json
import textwrap
from collections.abc import Mapping
from dataclasses import asdict

from rich.console import Console
from rich.text import Text

from kdbench import units
from kdbench.doctor.findings import Asked, Counter, Diagnosis, Interpreter, Machine, Plugin, Torch, Trouble
from kdbench.measure.providers import LEGACY, TABLE

SCHEMA = 1
NARROWEST, WIDEST = 60, 120
"""Characters of a line of prose: longer ones are hard to follow, whatever the terminal holds."""
INDENT, MOST_INDENT = 6, 30
YES, PARTLY, NO = ("works", "green"), ("partly", "yellow"), ("no", "bold red")
"""Word and style."""
STATE_WIDTH = len(PARTLY[0])


def as_json(diagnosis: Diagnosis) -> str:
    """All that was found, `schema` 1; every name as in `kdbench.doctor.findings`."""
    return json.dumps({"schema": SCHEMA, "can_all": diagnosis.can_all, **asdict(diagnosis)}, indent=2, allow_nan=False)


def as_text(diagnosis: Diagnosis, console: Console) -> str:
    """Text for `console`: plain for a pipe, within its width except for commands, which are never broken."""
    page = _Page(min(max(console.width, NARROWEST), WIDEST))
    for trouble in diagnosis.troubles():
        page.warning(trouble)
    if diagnosis.suite is not None:
        _suite(page, diagnosis.suite, diagnosis.asked)
    page.heading("This machine")
    page.labelled(_machine(diagnosis.machine, diagnosis.torch))
    for interpreter in diagnosis.interpreters:
        _interpreter(page, interpreter)
    if any(trouble not in page.shown for trouble in diagnosis.missing):
        page.heading("Not installed, and can be")
        for trouble in diagnosis.missing:
            page.remedy(trouble, 2)
    with console.capture() as capture:
        for line in page.lines:
            console.print(line, soft_wrap=True, highlight=False)
    return capture.get().strip("\n")


def _suite(page: "_Page", name: str, asked: tuple[Asked, ...]) -> None:
    can = sum(target.can for target in asked)
    page.heading(f"Suite {name}", f"{can} of {len(asked)} targets can be measured here")
    longest = max(len(target.target) for target in asked)
    for target in asked:
        said = _proof(target.kernels, target.precision) if target.can else target.reason or ""
        state = NO if not target.can else PARTLY if target.lacks else YES
        page.row(target.target, state, said, longest)
        for note in (*target.lacks, *target.notes):
            page.prose(_capital(note), INDENT)
        page.remedy(target.remedy)


def _machine(machine: Machine, torch: Torch) -> dict[str, str]:
    """Label -> text, a line each."""
    cores = machine.physical_core_count
    counted = f"{machine.logical_core_count} logical cores" if cores is None else _cores(machine, cores)
    memory = [units.size(machine.ram_bytes)] if machine.ram_bytes else []
    return {
        "processor": ", ".join([machine.cpu, counted, machine.architecture, machine.system, *memory]),
        "int8": _int8(machine),
        "GPU": "; ".join(machine.gpus) or "none with an NVIDIA driver",
        "other work": _use(machine),
        "clock": f"governor {machine.governor}" if machine.governor else "the system does not show its governor",
        "energy": "\n".join(map(_counter, machine.energy)),
        "peak memory": _peak_memory(machine),
        "torch": _torch(torch),
    }


def _cores(machine: Machine, physical: int) -> str:
    text = f"{physical} physical cores" if physical > 1 else "1 physical core"
    if machine.logical_core_count != physical:
        text += f" ({machine.logical_core_count} logical)"
    if machine.usable_core_count != machine.logical_core_count:
        text += f", {machine.usable_core_count} for this process"
    return text


def _int8(machine: Machine) -> str:
    if machine.int8_flags:
        return f"{', '.join(machine.int8_flags)}: 8-bit products are summed in one instruction"
    if machine.cpu_flags:
        return "no VNNI, AMX or dot product: int8 files may be slower than float ones"
    return "the system does not show the processor's instructions"


def _use(machine: Machine) -> str:
    said = []
    if machine.other_cores is not None:
        said.append(f"{machine.other_cores:.1f} of {machine.logical_core_count} cores now")
    if machine.load_average is not None:
        said.append(f"load {machine.load_average:.1f}")
    if machine.steal_fraction is not None:
        said.append(f"steal {machine.steal_fraction:.0%}")
    return ", ".join(said) or "the system does not show it"


def _counter(counter: Counter) -> str:
    return f"{counter.name} {counter.state}" + (f": {counter.reason.rstrip('.')}" if counter.reason else "")


def _peak_memory(machine: Machine) -> str:
    if machine.peak_memory is not None:
        return f"cannot be measured: {machine.peak_memory.rstrip('.')}"
    if machine.resets_peak_memory:
        return "can be measured, and begin anew within a process"
    return "can be measured, since a process began: the system does not let it begin anew"


def _torch(torch: Torch) -> str:
    if torch.reason is not None:
        return torch.reason
    devices = ", ".join(
        kind if names in ([kind], []) else f"{kind} ({', '.join(names)})" for kind, names in torch.devices.items()
    )
    compiles = "torch.compile has its compiler" if torch.compiles is None else f"torch.compile fails: {torch.compiles}"
    return f"{torch.version} on {devices}; {compiles}"


def _interpreter(page: "_Page", interpreter: Interpreter) -> None:
    page.heading("This interpreter" if interpreter.is_own else "Interpreter", interpreter.path)
    versions = {
        "Python": interpreter.python_version,
        "numpy": interpreter.numpy_version,
        "onnxruntime": interpreter.onnxruntime_version,
    }
    said = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    if interpreter.distributions:
        said += f"; installed: {', '.join(interpreter.distributions)}"
    if said:
        page.prose(said)
    if interpreter.reason is not None:
        page.row("", NO, interpreter.reason, 0)
        page.remedy(interpreter.remedy)
    _providers(page, interpreter)


def _providers(page: "_Page", interpreter: Interpreter) -> None:
    names = [*(trial.provider for trial in interpreter.trials), *(plugin.module for plugin in interpreter.plugins)]
    longest = max(map(len, names), default=0)
    for trial in interpreter.trials:
        said = _proof(trial.kernels, trial.precision) if trial.works else trial.reason or ""
        remark = f"; {TABLE[trial.provider].remark.rstrip('.')}" if trial.provider in LEGACY else ""
        page.row(trial.provider, YES if trial.works else NO, f"{said}{remark}", longest)
        page.remedy(trial.remedy)
    for plugin in interpreter.plugins:
        page.row(plugin.module, NO if plugin.reason else YES, _plugged(plugin), longest)
    if interpreter.unnamed_providers:
        names = [name.removesuffix("ExecutionProvider") for name in interpreter.unnamed_providers]
        page.prose(f"Compiled in, and nothing to measure on: {', '.join(names)}.")
    if interpreter.trials and not interpreter.tells_assignment:
        page.prose("It does not tell to which provider it gives a node; its profile tells which ran it.")


def _proof(kernels: Mapping[str, int], precision: str | None) -> str:
    """Which provider ran how many of the tiny model's kernels, and in what."""
    whole = sum(kernels.values())
    said = "; ".join(f"{name} ran {count} of {whole} kernels" for name, count in kernels.items())
    return f"{said}, {precision}" if precision else said


def _plugged(plugin: Plugin) -> str:
    return plugin.reason or f"{plugin.provider} on {', '.join(plugin.devices)}"


class _Page:
    """Lines of a given width; a remedy is told once."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.lines: list[Text] = []
        self.shown: list[Trouble] = []

    def heading(self, text: str, beside: str = "") -> None:
        self.lines += [Text(), Text.assemble((text, "bold"), f": {beside}" if beside else "")]

    def warning(self, trouble: Trouble) -> None:
        self.lines.append(Text())
        self.lines += [Text(line, style="bold yellow") for line in self._wrapped(_sentence(trouble), "! ", "  ")]
        self._commands(trouble)

    def labelled(self, rows: Mapping[str, str]) -> None:
        """Label and text, the texts below each other; a text's own lines stay apart."""
        longest = max(map(len, rows))
        for label, text in rows.items():
            for number, line in enumerate(text.split("\n")):
                head = f"  {label if number == 0 else '':<{longest}}  "
                self.lines += map(Text, self._wrapped(line, head, " " * len(head)))

    def row(self, label: str, state: tuple[str, str], text: str, longest: int) -> None:
        """A name, whether it works, and what proves it or speaks against it."""
        word, style = state
        head = f"  {label:<{longest}}  " if longest else "  "
        indent = f"{head}{word:<{STATE_WIDTH}}  "
        lines = [Text(line) for line in self._wrapped(text, indent, " " * min(len(indent), MOST_INDENT))]
        lines[0].stylize(style, len(head), len(head) + len(word))
        self.lines += lines

    def prose(self, text: str, indent: int = 2) -> None:
        self.lines += map(Text, self._wrapped(text, " " * indent, " " * indent))

    def remedy(self, remedy: Trouble | None, indent: int = INDENT) -> None:
        """A sentence on what to do, and its commands, unless they stand above."""
        if remedy is not None and remedy not in self.shown:
            self.prose(_sentence(remedy), indent)
            self._commands(remedy)

    def _commands(self, trouble: Trouble) -> None:
        """Never broken into lines: they are to be copied."""
        self.shown.append(trouble)
        self.lines += [Text(f"{'':{INDENT + 2}}{command}", style="cyan") for command in trouble.commands]

    def _wrapped(self, text: str, first: str, others: str) -> list[str]:
        return textwrap.wrap(
            text,
            self.width,
            initial_indent=first,
            subsequent_indent=others,
            break_long_words=False,
            break_on_hyphens=False,
        ) or [first.rstrip()]


def _sentence(trouble: Trouble) -> str:
    text = _capital(trouble.text)
    return f"{text.rstrip('.')}:" if trouble.commands else text


def _capital(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}"
