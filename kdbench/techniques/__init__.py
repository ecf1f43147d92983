"""Every technique, by family. A module declares its fields without torch; the work is imported inside methods."""
