"""The plan of a suite: which stages there are to compute, and whose rows they feed; checked before any work.

rows makes the Plan (plan.py). It asks networks and files for the stages behind each row, which stages keeps by their
keys, and baselines for what a case is compared with. companies says which students go in step,
repeats which timing of a file counts, estimate how long the rest takes.
"""
