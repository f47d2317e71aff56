"""Pretrained transformers in encoders: how to build them, and how to compute them without `transformers`."""
