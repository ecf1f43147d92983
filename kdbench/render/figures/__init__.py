"""Figures of a report, one file each, and what they share: paper, labels, ways to save them."""
