"""Readers of file forms that several corpora use."""
