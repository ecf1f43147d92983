"""How the command line meets the world: any console's encoding, closed pipes, errors as sentences, exit codes."""

import codecs
import os
import signal
import sys
import sysconfig
import traceback
import unicodedata
from collections.abc import Callable
from pathlib import Path

import click

import kdbench
from kdbench.errors import KdbenchError, ending

SOME_FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130
CLOSED_PIPE = 128 + getattr(signal, "SIGPIPE", 13)
"""As shells say of a program whose reader went away (`kdbench list techniques | head -1`)."""
LOOK_ALIKES = {
    **dict.fromkeys("\u2012\u2013\u2014\u2212", "-"),
    **dict.fromkeys("\u2018\u2019", "'"),
    **dict.fromkeys("\u201c\u201d", '"'),
    **{"\u00b5": "u", "\u03bc": "u", "\u00d7": "x", "\u2192": "->", "\u2264": "<=", "\u2265": ">=", "\u2026": "..."},
    **{"\u00b1": "+-", "\u2022": "*", "\u00b7": ".", "\u00b9": "1", "\u00b2": "2", "\u00b3": "3"},
}
"""Characters of kdbench's texts -> what stands for them where a console cannot show them."""
HERE = Path(kdbench.__file__).parent
ELSEWHERE = [Path(path).resolve() for path in {*sysconfig.get_paths().values(), sys.prefix, sys.base_prefix}]
"""Where Python and installed packages are: whatever code lies outside is a user's own."""


def prepare() -> None:
    """Let every stream take every text, and a request to end (SIGTERM) act as Ctrl-C."""
    codecs.register_error("kdbench", _look_alike)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started us
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 (for the rest of the program)
        stream = getattr(sys, name)
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="kdbench")
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def exit_code(run: Callable[[], object], debug: Callable[[], bool]) -> int:
    """Run a verb, and tell its errors; `debug` says whether with their traceback.

    The exit code is 0 where all went well, 1 where a case or kdbench itself failed, 2 for bad input, 130 for an
    interruption; others are a verb's own.
    """
    try:
        run()
    except SystemExit as asked:
        place = own_place(asked)
        if place is not None:  # a user's part, asked while a suite was read or planned
            _say(f"{place}: {ending(asked)}", debug())
            return BAD_INPUT
        return asked.code if isinstance(asked.code, int) else int(asked.code is not None)
    except click.exceptions.Exit as asked:
        return asked.exit_code
    except (click.exceptions.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except BrokenPipeError:
        return CLOSED_PIPE
    except KdbenchError as error:
        _say(str(error), debug())
        return BAD_INPUT
    except OSError as error:
        what = f"'{error.filename}' cannot be read or written" if error.filename else "the output cannot be written"
        _say(f"{what} ({error.strerror or error}).", debug())
        return BAD_INPUT if error.filename else SOME_FAILED
    except Exception as error:  # the last boundary: a user sees a sentence, whatever happens
        place = own_place(error)
        if place is not None:
            _say(f"{place}: {ending(error)}", debug())
            return BAD_INPUT
        at = traceback.extract_tb(error.__traceback__)[-1]
        _say(
            f"kdbench itself failed here: {ending(error)} ({_short(at.filename)}:{at.lineno}). Please report it, with "
            "what the same command prints with --debug.",
            debug(),
        )
        return SOME_FAILED
    return 0


def own_place(error: BaseException) -> str | None:
    """FILE:LINE of the user's code that an error came out of: the innermost that no installed package has."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = Path(frame.filename)
        installed = "site-packages" in file.parts or any(
            file.resolve().is_relative_to(folder) for folder in (HERE, *ELSEWHERE)
        )
        if file.suffix == ".py" and not installed:
            return f"{frame.filename}:{frame.lineno}"
    return None


def _short(path: str) -> str:
    file = Path(path)
    return str(file.relative_to(HERE.parent)) if file.is_relative_to(HERE) else file.name


def _say(sentence: str, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    click.echo(sentence, err=True)


def written(code: int) -> int:
    """The exit code to end with, once all output is written: a reader that went away turns a success into 141."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = code or CLOSED_PIPE
    except (OSError, ValueError) as error:  # a full disk behind `> FILE`, or a closed stream
        click.echo(f"the output could not be written ({getattr(error, 'strerror', None) or error}).", err=True)
        code = code or SOME_FAILED
    else:
        return code
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains again as it ends
    return code


def _look_alike(error: UnicodeError) -> tuple[str, int]:
    """Stands for what an encoding lacks: a look-alike, the letter without its accent, or a question mark."""
    assert isinstance(error, UnicodeEncodeError)
    plain = ""
    for character in error.object[error.start : error.end]:
        bare = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
        plain += LOOK_ALIKES.get(character, bare or "?")
    return plain, error.end
