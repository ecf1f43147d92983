"""What the verbs `choose`, `check`, `doctor` and `selfcheck` print."""
