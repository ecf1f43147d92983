"""The command line: verbs, help, exit codes. A KdbenchError is one line; anything else keeps its traceback."""

import signal
import sys

import click

from kdbench import __version__
from kdbench.cli import devices, gate, keeping, machine, names, results, selfcheck, suites
from kdbench.errors import KdbenchError

BAD_INPUT = 2


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="kdbench")
def cli() -> None:
    """Which compressed model should I ship on each of my devices, and what does it cost me?

    \b
    Start with:  kdbench run suites/quickstart.yaml
    """


for verb in (
    *(suites.run, suites.measure_command, suites.plan_command, suites.validate),
    *(names.list_command, names.describe, names.schema),
    *(results.render, results.load, results.choose_command, results.get_command, keeping.store_command),
    *(gate.check_command, gate.baseline, selfcheck.selfcheck_command),
    machine.doctor,
    *(devices.bundle_command, devices.merge_command),
):
    cli.add_command(verb)


def main() -> None:
    """The console script. Exit codes: 0 ok, 1 some case failed, 2 bad input, 130 interrupted."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(suites.INTERRUPTED)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except KdbenchError as error:
        click.echo(str(error), err=True)
        sys.exit(BAD_INPUT)
