"""Metrics: one file each. What a metric is stands in `kdbench.protocols.metric`."""
