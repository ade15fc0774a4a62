"""One feature extractor per file."""
