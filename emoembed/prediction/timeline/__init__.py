"""Emotions over time: a long recording or film, or sound and frames that arrive live, answered window by window."""
