"""The program that goes with a model: it reads what the model was trained on, runs it, and says what it answers."""
