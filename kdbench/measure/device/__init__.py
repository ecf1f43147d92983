"""The measuring program on another device: a bundle is opened there, run step by step, and its record written."""
