"""One distiller per file."""
