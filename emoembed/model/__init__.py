"""The model that scores labels: its configuration, weights, calibration and checkpoints."""
