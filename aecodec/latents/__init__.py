"""What latents are good for without decoding pictures.  numpy and ONNX graphs, no torch."""
