"""Whole manifests: their rows scored into a table, their features extracted, models adapted and attuned to them."""
