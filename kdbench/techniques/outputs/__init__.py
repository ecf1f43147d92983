"""Distillation of the teacher's outputs."""
