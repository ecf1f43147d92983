"""Keeps a results folder from choosing which code runs here: that is for the user to say.

plan.json says how each target was measured, with its interpreter and its provider's options. Nobody knows who made a
folder, and an interpreter is a program, a plug-in a library, and an option may name a library too. So these count only
where the user confirms them: by a suite named on the command line, or by an interpreter for a target.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kdbench.errors import StoreError
from kdbench.measure.session_spec import HARMLESS

Entry = Mapping[str, Any]
"""How a target is measured: `session`, `python` and more."""


@dataclass(frozen=True)
class Confirmed:
    """How targets are measured, by the user's word, which holds whatever the results folder says."""

    entries: Mapping[str, Entry] = field(default_factory=dict)
    """Target -> `session` and `python`, as a suite of the user's has them."""
    pythons: Mapping[str, str] = field(default_factory=dict)
    """Target -> the path of the interpreter that measures."""

    def entry(self, target: str, said: Entry, folder: str) -> dict[str, Any]:
        """How to measure a target of which the plan.json of `folder` says `said`.

        Raises StoreError for an interpreter, plug-in, option or cache of engines that the user did not confirm.
        """
        python = self.pythons.get(target, self.entries.get(target, said).get("python"))
        if python not in (None, "", sys.executable) and target not in {*self.pythons, *self.entries}:
            raise StoreError(
                f"'{folder}' wants {target} to be measured by the program '{python}' (plan.json: measure.{target}"
                f".python), and a results folder may come from anybody: name the suite that says so with --suite "
                f"SUITE.yaml, or the interpreter with --python {target}={python}."
            )
        return {**said, "session": self.session(target, said, folder), "python": python}

    def session(self, target: str, said: Entry, folder: str) -> dict[str, Any]:
        """How to run a file on a target, without the interpreter; as `entry` has it."""
        session = dict(self.entries.get(target, said).get("session") or {})
        named = sorted(name for name, value in session.items() if value and name not in HARMLESS)
        if named and target not in self.entries:
            raise StoreError(
                f"'{folder}' wants {target} to be run with {', '.join(f'{name} {session[name]!r}' for name in named)} "
                f"(plan.json: measure.{target}.session), which can load code, and a results folder may come from "
                "anybody: name the suite that says so with --suite SUITE.yaml."
            )
        return session


NOTHING = Confirmed()
"""The user confirms nothing: what folders name beyond kdbench's own table of providers is refused."""
