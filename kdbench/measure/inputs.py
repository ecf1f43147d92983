"""The examples a job runs on, cut into batches; it knows no model."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdbench.errors import MeasureError, Unreadable
from kdbench.files import read_arrays
from kdbench.measure.form import ENTRY, Form, read_form
from kdbench.measure.runtimes.contract import Feed

if TYPE_CHECKING:
    from kdbench.ragged import Ragged, Stored

MOST_FEEDS = 8
"""So many distinct batches are rotated: none is answered from a cache (MLPerf's TEST04), and few enough to hold."""
OFFSETS = "_offsets"


class Inputs:
    """Examples as a file takes them: an array (N, ...) an input, or N arrays of unequal length."""

    def __init__(self, arrays: Mapping[str, Stored], form: Form | None = None) -> None:
        self.arrays = dict(arrays)
        self.form = form or Form()
        self.example_count = len(next(iter(arrays.values())))

    def feeds(self, batch_size: int, most: int = MOST_FEEDS, lengths: Mapping[str, int] | None = None) -> list[Feed]:
        """Up to `most` batches that share no example, in the file's order; fewer examples than a batch repeat in it.

        lengths: for each axis that varies, the size that examples are cut or repeated to; by default their median.
        """
        import numpy

        count = min(most, max(1, self.example_count // batch_size))
        rows = numpy.arange(count * batch_size).reshape(count, batch_size) % self.example_count
        return [self.resized(row, lengths or {}) for row in rows]

    def in_order(self, batch_size: int) -> Iterator[tuple[Any, Feed]]:
        """Every example once: the places of a batch's examples (B,), and the batch; the last one may be smaller.

        In the file's order; where an axis varies, examples of like lengths go together.
        """
        import numpy

        lengths = next(iter(self.lengths().values()), None)
        order = numpy.arange(self.example_count) if lengths is None else numpy.argsort(lengths, kind="stable")
        for begin in range(0, self.example_count, batch_size):
            rows = order[begin : begin + batch_size]
            yield rows, self.padded(rows)

    def lengths(self) -> dict[str, Any]:
        """For each axis that varies, how long each example is, (N,)."""
        return {each.axis: self._ragged(name).lengths for name, each in self.form.varying.items()}

    def padded(self, rows: Any) -> Feed:
        """Some examples as one batch, padded to the longest among them; masks and lengths made."""
        import numpy

        feed = {}
        for name, array in self.arrays.items():
            each = self.form.varying.get(name)
            if each is None:
                feed[name] = numpy.ascontiguousarray(array[rows])
            else:
                feed[name] = _at_place(self._ragged(name).padded(rows, each.padding, each.multiple), each.place)
        return self._with_made(feed, {axis: lengths[rows] for axis, lengths in self.lengths().items()})

    def resized(self, rows: Any, lengths: Mapping[str, int]) -> Feed:
        """Some examples as one batch without padding: each cut or repeated to the axes' sizes."""
        import numpy

        feed, sizes = {}, {}
        for name, array in self.arrays.items():
            each = self.form.varying.get(name)
            if each is None:
                feed[name] = numpy.ascontiguousarray(array[rows])
                continue
            own = self._ragged(name)
            size = lengths.get(each.axis) or int(numpy.median(own.lengths))
            sizes[each.axis] = size = -(-size // each.multiple) * each.multiple
            feed[name] = _at_place(own.resized(rows, size), each.place)
        return self._with_made(feed, {axis: numpy.full(len(rows), size) for axis, size in sizes.items()})

    def taken(self, rows: Any) -> Inputs:
        """Some of the examples, in that order."""
        import numpy

        arrays = {
            name: self._ragged(name).taken(rows) if name in self.form.varying else numpy.ascontiguousarray(array[rows])
            for name, array in self.arrays.items()
        }
        return Inputs(arrays, self.form)

    def entries(self) -> dict[str, Any]:
        """What an .npz of them holds."""
        found = {ENTRY: self.form.array()}
        for name, array in self.arrays.items():
            if name in self.form.varying:
                own = self._ragged(name)
                found.update({name: own.values, f"{name}{OFFSETS}": own.offsets})
            else:
                found[name] = array
        return found

    def _ragged(self, name: str) -> Ragged:
        found: Ragged = self.arrays[name]  # type: ignore[assignment]  # `_examples` and whoever fills a form see to it
        return found

    def _with_made(self, feed: Feed, lengths: Mapping[str, Any]) -> Feed:
        import numpy

        for name, made in self.form.made.items():
            own = lengths[made.axis]
            if made.role == "mask":
                shown = next(n for n, each in self.form.varying.items() if each.axis == made.axis)
                size = feed[shown].shape[1 + self.form.varying[shown].place]
                own = numpy.arange(size) < own[:, None]
            feed[name] = own.astype(made.dtype)
        return feed


def _at_place(array: Any, place: int) -> Any:
    """The varying axis, which is the one behind the batch axis, moved to its place."""
    import numpy

    return numpy.ascontiguousarray(numpy.moveaxis(array, 1, 1 + place))


def load_inputs(path: str) -> Inputs:
    """The examples in an .npz. Raises MeasureError where it is none, is empty, or its arrays differ in length."""
    try:
        arrays = read_arrays(Path(path))
    except Unreadable as error:
        raise MeasureError(f"the inputs {path} are not an .npz of plain arrays: {error}.") from None
    try:
        found = inputs_of(arrays)
    except (ValueError, TypeError, KeyError) as error:
        raise MeasureError(f"the inputs {path} do not say what they are ({type(error).__name__}: {error}).") from None
    lengths = {len(array) if getattr(array, "ndim", 1) else 0 for array in found.arrays.values()}
    if len(lengths) != 1 or 0 in lengths:
        raise MeasureError(f"the arrays of {path} must have one common length of at least 1 along their first axis.")
    return found


def inputs_of(arrays: Mapping[str, Any], names: Collection[str] = ()) -> Inputs:
    """The examples in the entries of an .npz; names: the inputs among them, by default what the form names, else all.

    Raises ValueError, TypeError or KeyError where it is damaged.
    """
    from kdbench.ragged import Ragged

    form = read_form(arrays[ENTRY]) if ENTRY in arrays else Form()
    wanted = names or form.stored or [name for name in arrays if name != ENTRY]
    found: dict[str, Stored] = {}
    for name in wanted:
        array = arrays[name]
        if name in form.varying:
            ragged = Ragged(array, arrays[f"{name}{OFFSETS}"])
            if ragged.offsets[-1:].tolist() != [len(array)] or (ragged.lengths < 0).any():
                raise ValueError(f"the offsets of {name} do not fit it")
            found[name] = ragged
        else:
            found[name] = array
    return Inputs(found, form)
