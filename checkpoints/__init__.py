"""Checkpoints that ship with emoembed, one folder each."""
