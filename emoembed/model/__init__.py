"""What scores labels: configuration, model, calibration; and what is saved of it."""
