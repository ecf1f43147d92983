"""`kdbench get`: hands over one model with a manifest of what was measured, and a program that runs it."""
