"""One pretrained segmenter per file."""
