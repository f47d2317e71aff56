"""One reader a corpus: `read(folder)` gives its table of samples."""
