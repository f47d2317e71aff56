"""Encoders: a padded sequence of features -> one point per item."""
