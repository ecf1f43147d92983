"""The command line: verbs in groups, help, `--debug`. What goes wrong is told by `_console`."""

import sys

import click

from kdbench import __version__
from kdbench.cli import _console, devices, gate, history, keeping, machine, names, results, selfcheck, suites, trying

VERBS: dict[str, dict[click.Command, str]] = {
    "Start here": {
        trying.try_command: "Say what a trained model loses and gains, made smaller.",
        trying.init_command: "Write a commented suite to start from.",
    },
    "Write a suite and run it": {
        suites.validate: "Check a suite file before anything runs.",
        suites.plan_command: "Say what a run would do, and how long it takes.",
        suites.run: "Run a suite to a report; finished work is reused.",
        suites.measure_command: "Time the files of a finished run, without training.",
        names.list_command: "List techniques, models, tasks, metrics or providers.",
        names.describe: "Explain a technique, a model ... or a suite's fields.",
        names.schema: "Print the JSON Schema of suites, for editors.",
    },
    "Read results and ship one": {
        results.render: "Make the report again, or compare two folders.",
        results.choose_command: "Say which case to ship on each device.",
        results.get_command: "Hand over a case's ONNX file, ready to use.",
        results.load: "Print every measurement as CSV.",
        results.score_command: "Judge a finished run by one more metric.",
    },
    "Measure on other devices": {
        machine.doctor: "Say what this machine can measure, and what is missing.",
        devices.bundle_command: "Pack models and the measuring program into one file.",
        devices.phone_command: "Time LiteRT files on an Android phone.",
        devices.merge_command: "Add what a device measured, or join published files.",
        devices.publish_command: "Make one file of results, to share with others.",
    },
    "Guard against regressions": {
        gate.check_command: "Check new results against a reference.",
        gate.baseline: "Keep results as one file to check against later.",
        history.history: "Keep values by commit, and say when one stepped.",
        selfcheck.selfcheck_command: "Try the check's tolerance on this machine.",
    },
    "Keep house": {
        keeping.store_command: "Show how much space finished work takes, and clean it.",
    },
}
"""Heading of the help -> its verbs, and what each does in a few words."""
_debug = False


def _set_debug(context: click.Context, option: click.Parameter, value: bool) -> None:
    global _debug
    _debug = _debug or value


class _Verbs(click.Group):
    """A group whose help has the verbs under headings."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        longest = max(map(len, self.commands))
        for heading, verbs in VERBS.items():
            with formatter.section(heading):
                formatter.write_dl([(str(verb.name).ljust(longest), does) for verb, does in verbs.items()])


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="kdbench")
@click.option("--debug", is_flag=True, expose_value=False, callback=_set_debug, help="Show the traceback of an error.")
def cli() -> None:
    """Which compressed model should I ship on each of my devices, and what does it cost me?

    \b
    Start with:    kdbench run suites/quickstart.yaml
    Learn more:    kdbench VERB --help, kdbench describe suite
    """


def _allow_debug(verb: click.Command) -> None:
    """`--debug` may stand behind the verb, too."""
    verb.params.append(click.Option(["--debug"], is_flag=True, hidden=True, expose_value=False, callback=_set_debug))
    for inner in verb.commands.values() if isinstance(verb, click.Group) else ():
        _allow_debug(inner)


for _verb in (verb for verbs in VERBS.values() for verb in verbs):
    _allow_debug(_verb)
    cli.add_command(_verb)


def main() -> None:
    """The console script. Exit codes: 0 ok, 1 some case failed, 2 bad input, 130 interrupted; verbs name others."""
    _console.prepare()
    sys.exit(_console.written(exit_code(sys.argv[1:])))


def exit_code(arguments: list[str]) -> int:
    """Run a command line; its exit code."""

    def run() -> None:
        # not cli.main(), which turns a closed pipe into exit code 1: for `check` that means that something errored
        with cli.make_context("kdbench", arguments) as context:
            cli.invoke(context)

    return _console.exit_code(run, lambda: _debug)
