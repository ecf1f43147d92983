"""The gate: a results folder against a reference, both measured again here and now. Returns data, writes none of it."""

from typing import TYPE_CHECKING, Any

from kdbench.check.verdicts import Checked, Row, Verdict

if TYPE_CHECKING:
    from kdbench.check.compare import check

__all__ = ["Checked", "Row", "Verdict", "check"]


def __getattr__(name: str) -> Any:
    """`check` when it is first asked for: reading a verdict needs no scipy."""
    if name == "check":
        from kdbench.check.compare import check

        return check
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
