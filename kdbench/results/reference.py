"""Which targets are for reference only: nobody deploys a compressed model to them."""

from kdbench import registry
from kdbench.measure.providers import runtime_of


def is_reference(provider: str, runtime: str | None = None) -> bool:
    """Whether nobody deploys to a target: its runtime is registered, and says so.

    `provider`: by its short name. `runtime`: the registered name of a runtime, where a session or a record says it.
    """
    name = runtime or runtime_of(provider)
    return name in registry.names("runtime") and not registry.resolve("runtime", name).deployable
