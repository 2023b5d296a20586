"""The autoencoder family measured: each variant trained, exported, and looked at through ONNX Runtime."""
