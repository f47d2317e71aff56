"""Raw items in, named scores out."""
