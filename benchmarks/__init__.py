"""Benchmarks of aecodec, run from the checkout. README.md says which command answers which question."""
