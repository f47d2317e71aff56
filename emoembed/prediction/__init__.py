"""Prediction: raw items in, named scores out."""
