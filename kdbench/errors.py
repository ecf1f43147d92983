"""The errors a user can cause or mend; everything else keeps its traceback.

KdbenchError            one sentence: what was expected, what came, the remedy
├── SuiteError          a suite, a case, a field (carries FILE:LINE: key.path)
├── UnknownName         no technique, model, task or provider of that name
├── UserCodeError       a user's own file that cannot be imported, with its place in that file
├── DataError           data that is missing, unreadable or too small
├── StoreError          the stage store or a results folder cannot be read or written
│   └── DamagedStage    a stored artefact is not what was published
├── Unreadable          a file that is damaged, too large or no file; whoever reads it says which and what helps
├── RecordError         records that cannot be understood
│   └── NewerRecords    records of a newer kdbench
├── ModelError          a model that cannot take a task's inputs, or whose weights file does not fit
├── TechniqueError      a technique that cannot work here, or that changed nothing
│   └── WeightsError    one that cannot work on these very weights, though it may on others of the same network
├── TrainingError       a training that went to infinity, or cannot start
├── ExportError         a model the exporter rejects, or whose file disagrees with it
└── MeasureError        a runtime or provider that did not do what it was asked
"""

import difflib
import os
import sysconfig
import traceback
from collections.abc import Iterable
from typing import Optional, Union

Place = tuple[Union[str, int], ...]
"""A path of keys and list positions in a document: ("cases", "soft", 0)."""


class KdbenchError(Exception):
    """Shown as one line, without a traceback."""


class SuiteError(KdbenchError):
    """Something in a suite is wrong; the message starts with its place."""


class UnknownName(KdbenchError):
    """A name that nothing is registered under."""


class UserCodeError(KdbenchError):
    """What a user's own file raised; the message has the file and the line."""


class DataError(KdbenchError):
    """Data that is missing, unreadable or too small for what was asked."""


class StoreError(KdbenchError):
    """The store or a results folder cannot be read or written."""


class DamagedStage(StoreError):
    """A stored artefact differs from its manifest; `key` says which stage to rebuild."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(key, message)
        self.key = key
        self.message = message

    def __str__(self) -> str:
        return self.message


class Unreadable(KdbenchError):
    """A file that cannot be read as what it should be; the message is the reason, without a full stop."""


class RecordError(KdbenchError):
    """Records that cannot be understood."""


class NewerRecords(RecordError):
    """Records that a newer kdbench wrote."""


class ModelError(KdbenchError):
    """A model that cannot take a task's inputs, or whose weights file does not fit."""


class TechniqueError(KdbenchError):
    """A technique that cannot work here, or that changed nothing."""


class WeightsError(TechniqueError):
    """A technique that cannot work on these very weights, though it may on others of the same network.

    A rehearsal, whose weights are new, does not take it for a fault.
    """


class TrainingError(KdbenchError):
    """A training that diverged, or cannot start."""


class ExportError(KdbenchError):
    """A model that cannot be exported, or whose exported file disagrees with it."""


class MeasureError(KdbenchError):
    """A runtime or provider that did not do what it was asked."""


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of an 'unknown name' sentence: the nearest known name, else all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"Did you mean '{close[0]}'?"
    return f"Known: {', '.join(names)}." if names else "None is known."


def users_line(error: BaseException) -> Optional[str]:
    """FILE:LINE of the user's own code that an error came through last; None where it came through none.

    A user's own code is whatever lies neither in this package nor with Python or its installed packages.
    """
    others = (os.path.dirname(os.path.abspath(__file__)), *sysconfig.get_paths().values())
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = os.path.abspath(frame.filename)
        if not frame.filename.startswith("<") and not path.startswith(tuple(f"{other}{os.sep}" for other in others)):
            near = os.path.relpath(path)
            return f"{path if near.startswith(os.pardir) else near}:{frame.lineno}"
    return None


def ending(error: BaseException) -> str:
    """What came out of a user's code: an error's type and the first line of its text, or that it ended the program."""
    if isinstance(error, SystemExit):
        return f"the code ended the program with sys.exit({error.code!r}); a part returns or raises an error."
    said = str(error).strip().splitlines()
    return f"{type(error).__name__}: {said[0]}" if said else type(error).__name__
