"""The stages of a run that have not begun: which are ready, and which will never be."""

from collections.abc import Iterable, Mapping
from heapq import heappop, heappush

from kdbench import stages
from kdbench.stages.spec import StageSpec

ORDER = {kind: place for place, kind in enumerate(stages.TABLE)}
"""Kind of stage -> its turn among those that are ready: long work first, so that no core is idle at the end."""


class Waiting:
    """Every stage waits for its inputs, and for the rehearsals of the cases that want it.

    All its inputs must be there. Of its rehearsals all must have ended, and one must have gone well: then there is a
    case that it is of use to.
    """

    def __init__(self, specs: Iterable[StageSpec], rehearsals: Mapping[str, Iterable[str]]) -> None:
        """rehearsals: key of a stage -> keys of those that it waits for. What is not in `specs` is there already."""
        self._specs = {spec.key: spec for spec in specs}
        self._places = {key: place for place, key in enumerate(self._specs)}
        self._pending: dict[str, int] = {}
        """Key -> how many inputs and rehearsals have not ended."""
        self._chances: dict[str, int] = {}
        """Key -> how many of its rehearsals have not failed; only for stages that have any."""
        self._rest_on: dict[str, list[str]] = {key: [] for key in self._specs}
        """Key -> the stages whose input it is."""
        self._await: dict[str, list[str]] = {key: [] for key in self._specs}
        """Key -> the stages whose rehearsal it is."""
        self._ready: list[tuple[int, int, str]] = []
        for key, spec in self._specs.items():
            self._add(spec, [*rehearsals.get(key, ())])

    def _add(self, spec: StageSpec, rehearsals: list[str]) -> None:
        inputs = {key for key in spec.inputs.values() if key in self._specs}
        waited = {key for key in rehearsals if key in self._specs}
        for key in inputs:
            self._rest_on[key].append(spec.key)
        for key in waited:
            self._await[key].append(spec.key)
        if rehearsals:
            self._chances[spec.key] = len({*rehearsals})
        self._pending[spec.key] = len(inputs) + len(waited)
        self._offer(spec.key)

    def __bool__(self) -> bool:
        return bool(self._pending)

    def _offer(self, key: str) -> None:
        if self._pending[key] == 0:
            heappush(self._ready, (ORDER[self._specs[key].kind], self._places[key], key))

    def take(self) -> StageSpec | None:
        """The ready stage whose turn it is, which waits no longer; None while none is ready."""
        while self._ready:
            _, _, key = heappop(self._ready)
            if self._pending.pop(key, None) is not None:
                return self._specs[key]
        return None

    def done(self, key: str) -> None:
        """A stage has its result."""
        for then in (*self._rest_on[key], *self._await[key]):
            self._count_down(then)

    def _count_down(self, key: str) -> None:
        if key in self._pending:
            self._pending[key] -= 1
            self._offer(key)

    def failed(self, key: str) -> list[str]:
        """A stage has none: the stages that will never run, each after the one that it rests on."""
        hopeless: list[str] = []
        queue = [key]
        while queue:
            at = queue.pop()
            lost = [then for then in self._rest_on[at] if then in self._pending]
            for then in self._await[at]:
                self._chances[then] -= 1
                if self._chances[then] == 0:
                    lost.append(then)
                else:
                    self._count_down(then)
            for then in lost:
                if self._pending.pop(then, None) is not None:
                    hopeless.append(then)
                    queue.append(then)
        return hopeless
