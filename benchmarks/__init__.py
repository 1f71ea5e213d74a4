"""How long things take beside their alternatives; each prints a table, and JSON on request."""
