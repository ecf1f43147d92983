"""Sentences and names that every form of the report shares."""
