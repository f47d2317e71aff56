"""A padded sequence of features to one point."""
