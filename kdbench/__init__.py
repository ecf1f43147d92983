"""kdbench: which compressed model should I ship on each of my devices, and what does it cost me?"""

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kdbench.render.tidy import load as load


def __getattr__(name: str) -> object:
    """`kdbench.load`, imported when it is first asked for: the measuring program packs this file alone."""
    if name == "load":
        from kdbench.render.tidy import load

        return load
    raise AttributeError(f"module 'kdbench' has no attribute '{name}'")
