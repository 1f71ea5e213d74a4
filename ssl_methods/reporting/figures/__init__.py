"""The figures: each function takes tables and returns a Figure, or raises ``NothingToShow``."""
