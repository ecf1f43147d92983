"""Carries models to another device in one file, and merges the record that it brings home. Returns data."""

from kdbench.bundle.merge import Merging, merge
from kdbench.bundle.pack import Asked, Bundled, bundle

__all__ = ["Asked", "Bundled", "Merging", "bundle", "merge"]
