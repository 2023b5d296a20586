"""aecodec inside other programs: one module for each, importing its host inside functions only."""
