"""One kind of problem per file."""
