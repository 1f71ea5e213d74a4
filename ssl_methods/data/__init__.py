"""From source scans to the prepared store, and from the store to splits."""
