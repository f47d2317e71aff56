"""Emotions over time: a long recording or film, or sound and frames that arrive live, scored window by window."""
