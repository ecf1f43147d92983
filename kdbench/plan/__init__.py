"""From a suite and what the machine can do to stages and rows: what there is to compute, checked before any work."""
