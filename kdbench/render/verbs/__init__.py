"""Texts and files of the verbs `choose`, `check`, `doctor` and `selfcheck`."""
