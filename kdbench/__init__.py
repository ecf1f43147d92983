"""kdbench: which compressed model should I ship on each of my devices, and what does it cost me?"""

__version__ = "0.1.0"
