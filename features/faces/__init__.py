"""Faces in pictures and films: find them, follow them, cut them out."""
