"""Distillation of relations between examples."""
