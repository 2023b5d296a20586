"""Training: the only part of aecodec that imports torch.  `python -m aecodec.training CONFIG.toml`."""
