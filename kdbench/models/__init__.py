"""Models: architectures as declarations; their networks are in private modules beside them."""
