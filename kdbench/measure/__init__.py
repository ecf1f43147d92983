"""The measuring program (standard library, numpy, a runtime); `client` packs it, starts it and reads its answer."""
