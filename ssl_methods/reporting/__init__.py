"""From tables to figures and one self-contained page. Reads files, imports no torch."""
