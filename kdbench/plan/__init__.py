"""The plan of a suite: which stages there are to compute, and whose rows they feed; checked before any work."""
