"""Techniques that replace weights: transferred, factorized, shared, or statistics measured again."""
