"""Measure models: protocols, training with held-out emotions, baselines and reports."""
