"""Takes out of texts what says whose machine they come from: folders, and the machine's name. Knows no record."""

import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

ROOTS = ("home", "Users", "root", "mnt", "media", "data", "opt", "var", "tmp", "srv", "usr", "private", "Volumes",
         "scratch", "work", "workspace", "workspaces", "storage", "nfs", "projects")  # fmt: skip
"""First folders of paths. A name such as "/layer1/Conv", which a graph has for a tensor, begins with none of them."""
ENDS = r"\s'\"`,;:()\[\]{}<>|*?"
"""What no part of a path contains here; a space ends a path too."""
WINDOWS = re.compile(rf"(?<![\w/\\])(?:[A-Za-z]:|\\\\[^\\/{ENDS}]+)(?:[\\/][^\\/{ENDS}]+)+[\\/]?")
"""A path of Windows, from a drive or a machine of the network."""
HOMES = {"home": 2, "Users": 2, "root": 1}
"""First folder of a path -> how many of its parts are a person's own folder."""
CUT = "…/"
"""What stands for the folders of a path; its last name stays."""
HOST = "host"
"""What stands for the machine's name."""
FEWEST_LETTERS = 3
"""A shorter machine name is part of too many words to be looked for."""


@dataclass(frozen=True)
class Private:
    """What must not be told."""

    host: str = field(default_factory=platform.node)
    home: str = field(default_factory=lambda: str(Path("~").expanduser()))

    def told(self, data: Any) -> Any:
        """JSON data with the folders of absolute paths cut and the machine's name replaced, in every text of it."""
        if isinstance(data, str):
            return self.text(data)
        if isinstance(data, dict):
            return {self.text(name): self.told(value) for name, value in data.items()}
        return [self.told(value) for value in data] if isinstance(data, list | tuple) else data

    def text(self, text: str) -> str:
        """A text without them."""
        if "/" in text or "\\" in text:
            if len(self.home.strip("/\\")) > 1:  # it may hold spaces, which end a path below
                text = text.replace(self.home, "/root" if self.home.startswith("/") else "C:/Users/x")
            text = WINDOWS.sub(_cut, self._paths.sub(_cut, text))
        return self._host.sub(HOST, text) if self._host is not None else text

    def found(self, data: bytes) -> str | None:
        """What of it a file's bytes hold, in words; None where nothing was found. The file itself is not changed."""
        return next((words for words, wanted in self._wanted() if wanted in data), None)

    def _wanted(self) -> Iterator[tuple[str, bytes]]:
        if len(self.home.strip("/\\")) > 1:
            yield "the path of your home folder", self.home.encode()
        if self._host is not None:
            yield "the name of this machine", self.host.encode()

    @cached_property
    def _paths(self) -> re.Pattern[str]:
        """Absolute paths, from a folder that systems have or that this machine has."""
        own = (path.parts[1] for path in (Path(self.home), Path.cwd(), Path(__file__).resolve()) if len(path.parts) > 1)
        roots = "|".join(sorted({re.escape(root) for root in (*ROOTS, *own)}, key=len, reverse=True))
        return re.compile(rf"(?<![\w/.…~-])(?:file://)?/(?:{roots})(?![\w.-])(?:/[^/{ENDS}]+)*/?")

    @cached_property
    def _host(self) -> re.Pattern[str] | None:
        long_enough = len(self.host) >= FEWEST_LETTERS and self.host != "localhost"
        return re.compile(rf"(?<![\w-]){re.escape(self.host)}(?![\w-])") if long_enough else None


def _cut(found: re.Match[str]) -> str:
    """The last name of a path; "~" for a person's own folder."""
    parts = [part for part in re.split(r"[\\/]+", found[0].removeprefix("file:")) if part and not part.endswith(":")]
    return "~" if len(parts) <= HOMES.get(parts[0], 0) else f"{CUT}{parts[-1]}"
