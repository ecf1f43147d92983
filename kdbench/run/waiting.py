"""The stages of a run that have not begun: which are ready, and which will never be."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import heappop, heappush

from kdbench import stages
from kdbench.plan.estimate import guess_by_kind, seconds_to_the_end
from kdbench.stages.spec import StageSpec

ORDER = {kind: place for place, kind in enumerate(stages.TABLE)}
"""Kind of stage -> its turn among those that are ready and after which as much is left to do."""


class Waiting:
    """Every stage waits for its inputs, and for the rehearsals of the cases that want it.

    All its inputs must be there. Of its rehearsals all must have ended, and one must have gone well: then there is a
    case that it is of use to. Stages that may go in step wait for each other, too.
    """

    def __init__(
        self,
        specs: Iterable[StageSpec],
        rehearsals: Mapping[str, Iterable[str]],
        companies: Iterable[Sequence[StageSpec]] = (),
        seconds: Callable[[StageSpec], float] = guess_by_kind,
    ) -> None:
        """rehearsals: key of a stage -> keys of those that it waits for; companies: stages that may go in step.

        seconds: about how long a stage takes. What is not in `specs` is there already.
        """
        self._specs = {spec.key: spec for spec in specs}
        self._left = seconds_to_the_end(self._specs.values(), seconds)
        self._places = {key: place for place, key in enumerate(self._specs)}
        self._pending: dict[str, int] = {}
        """Key -> how many inputs and rehearsals have not ended."""
        self._chances: dict[str, int] = {}
        """Key -> how many of its rehearsals have not failed; only for stages that have any."""
        self._rest_on: dict[str, list[str]] = {key: [] for key in self._specs}
        """Key -> the stages whose input it is."""
        self._await: dict[str, list[str]] = {key: [] for key in self._specs}
        """Key -> the stages whose rehearsal it is."""
        self._companies = {key: [key] for key in self._specs}
        """Key -> the stages that it goes in step with, itself among them."""
        for company in companies:
            members = [spec.key for spec in company if spec.key in self._specs]
            self._companies |= dict.fromkeys(members, members)
        self._ready: list[tuple[bool, float, int, int, str]] = []
        self._offered: set[str] = set()
        """Keys in `_ready`, one a company."""
        for key, spec in self._specs.items():
            self._add(spec, [*rehearsals.get(key, ())])
        for key in self._specs:
            self._offer(key)

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

    def __bool__(self) -> bool:
        return bool(self._pending)

    def _offer(self, key: str) -> None:
        """Note that a stage and its company are ready, if they are."""
        company = [key for key in self._companies[key] if key in self._pending]
        if company and not any(self._pending[key] for key in company) and self._offered.isdisjoint(company):
            self._offered.add(company[0])
            heappush(self._ready, self._turn(company))

    def _turn(self, company: list[str]) -> tuple[bool, float, int, int, str]:
        """What decides the order among ready stages: rehearsals first, then those that the longest work waits for."""
        first = company[0]
        kind, left = self._specs[first].kind, max(self._left[key] for key in company)
        return kind != "rehearse", -left, ORDER[kind], self._places[first], first

    def take(self, idle: int = 1) -> list[StageSpec]:
        """The ready stages whose turn it is, which wait no longer, to go in step; none while none is ready.

        idle: how many workers have nothing to do. Where they are more than the companies that are ready, a company is
        shared out among them: that costs passes of a teacher, and saves its user time. Stored outputs go by themselves
        then, as students wait for them.
        """
        if not self._ready:
            return []
        workers = max(1, idle - len(self._ready) + 1)
        *_, first = heappop(self._ready)
        self._offered.discard(first)
        company = [key for key in self._companies[first] if key in self._pending]
        stores = workers > 1 and self._specs[first].kind == "teach"
        taken = company[: 1 if stores else -(-len(company) // workers)]
        for key in taken:
            del self._pending[key]
        for key in company[len(taken) : len(taken) + 1]:
            self._offer(key)
        return [self._specs[key] for key in taken]

    def again_alone(self, key: str) -> None:
        """A stage whose company's worker died goes once more, by itself."""
        self._companies[key] = [key]
        self._pending[key] = 0
        self._offer(key)

    def done(self, key: str) -> None:
        """A stage has its result."""
        for then in (*self._rest_on[key], *self._await[key]):
            self._count_down(then)

    def _count_down(self, key: str) -> None:
        if key in self._pending:
            self._pending[key] -= 1
            self._offer(key)

    def _drop(self, key: str) -> bool:
        """Take out a stage that will never run; whether it was still waiting. Its company no longer waits for it."""
        if self._pending.pop(key, None) is None:
            return False
        for other in self._companies[key]:
            if other in self._pending:
                self._offer(other)
                break
        return True

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
                if self._drop(then):
                    hopeless.append(then)
                    queue.append(then)
        return hopeless
