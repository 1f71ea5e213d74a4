"""What generated cases show: fields, a chamber, stained tissue, and the laboratories of it."""
