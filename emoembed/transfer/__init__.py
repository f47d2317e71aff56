"""Adapt a trained model with a few rows: few-shot labels and mean alignment."""
