"""Pruning: whole channels, or single weights."""
