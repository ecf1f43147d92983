"""Distillation with several teachers, chains of teachers, or students that teach each other."""
