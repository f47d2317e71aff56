"""Scores for the turns of a dialogue, with its earlier turns as context."""
