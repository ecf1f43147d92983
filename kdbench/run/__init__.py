"""A run: the plan is walked, stages reused or computed, a results folder collected, progress shown."""
