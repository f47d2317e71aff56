"""Reads text, sound, faces and the rows of a corpus into the arrays of the encoders."""
