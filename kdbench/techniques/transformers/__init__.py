"""Distillation inside transformers: hidden states, attention, and how tokens are related."""
