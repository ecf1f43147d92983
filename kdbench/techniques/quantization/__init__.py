"""Quantization: 8-bit files, 16-bit files, weights of 4 or 8 bits, and training for them."""
