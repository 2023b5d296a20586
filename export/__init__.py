"""Checkpoint -> five ONNX graphs, integer tables, manifest: a bundle.  `python -m export --help`."""
