"""Models carried to another device in one file, and its record brought home. Returns data; `render` makes it text."""

from kdbench.bundle.merge import Merging, merge
from kdbench.bundle.pack import Asked, Bundled, bundle

__all__ = ["Asked", "Bundled", "Merging", "bundle", "merge"]
