"""Distillation of the teacher's features."""
