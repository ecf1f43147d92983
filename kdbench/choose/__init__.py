"""Which case to ship on which device, under the user's limits. Returns data; `render.verbs.choice` makes it text."""

from kdbench.choose.choice import choose, device_choice, suite_limits
from kdbench.choose.everywhere import OneForAll
from kdbench.choose.offers import Comparison, Offer
from kdbench.choose.outcome import Choice, DeviceChoice, Miss
from kdbench.suite.limits import Limits

__all__ = [
    "Choice",
    "Comparison",
    "DeviceChoice",
    "Limits",
    "Miss",
    "Offer",
    "OneForAll",
    "choose",
    "device_choice",
    "suite_limits",
]
