"""How models are made."""
