"""Pretrained transformers that encoders hold: built, computed without transformers, and with ONNX Runtime."""
