"""File forms that corpora share."""
