"""One reader per corpus: `read(folder)` returns the corpus."""
