"""A results folder as one file that can be given to anybody, and several such files as one folder. Returns data."""

from kdbench.publish.join import Joined, join
from kdbench.publish.publish import Published, publish

__all__ = ["Joined", "Published", "join", "publish"]
