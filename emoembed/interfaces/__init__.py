"""How the package is called from outside Python."""
