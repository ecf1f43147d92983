"""How long stages take, from how long like stages took; an honest estimate says what it does not know."""

from dataclasses import dataclass, field

from kdbench.specs import StageSpec


def kind_of_work(spec: StageSpec) -> str:
    """Stages that take about as long as each other: of one kind, on one model, under one recipe."""
    parts = [spec.parts[role] for role in sorted(spec.parts) if role == "model" or role.startswith("recipe")]
    return " ".join([spec.kind, *(f"{part.name}{part.fields}" for part in parts)])


@dataclass
class Estimate:
    """How long the rest takes, from how long like stages took."""

    seconds: dict[str, list[float]] = field(default_factory=dict)

    def learn(self, spec: StageSpec, seconds: float) -> None:
        """Note how long a stage took."""
        self.seconds.setdefault(kind_of_work(spec), []).append(seconds)

    def of(self, spec: StageSpec) -> float | None:
        """Seconds that a stage takes; None where no like one has been seen."""
        known = self.seconds.get(kind_of_work(spec))
        return sum(known) / len(known) if known else None

    def rest(self, pending: list[StageSpec], jobs: int) -> tuple[float, bool]:
        """Seconds until the pending stages are done, and whether that counts all of them."""
        known = [self.of(spec) for spec in pending]
        total = sum(
            (seconds or 0.0) / (1 if spec.kind == "measure" else jobs)
            for seconds, spec in zip(known, pending, strict=True)
        )
        return total, None not in known
