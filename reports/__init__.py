"""One table or figure per file, made from rows alone."""
