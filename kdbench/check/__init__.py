"""The gate: has a results folder become slower, less accurate or larger than a reference? Both are measured again, here
and now. Returns data; `kdbench.render.verbs.check` writes it."""

from typing import TYPE_CHECKING, Any

from kdbench.check.verdicts import Checked, Row, Verdict

if TYPE_CHECKING:
    from kdbench.check.compare import check

__all__ = ["Checked", "Row", "Verdict", "check"]


def __getattr__(name: str) -> Any:
    """`check` is imported when it is first asked for: whoever only reads a verdict loads no scipy."""
    if name == "check":
        from kdbench.check.compare import check

        return check
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
