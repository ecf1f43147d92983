"""What goes with a model that is handed over: which file it is, what is said of it, how to run it."""
