"""Training, calibration and the recipes of the models."""
