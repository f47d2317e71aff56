"""A model and rows to another model."""
