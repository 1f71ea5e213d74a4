"""From a trained run to measurements: sliding-window inference and per-case metrics."""
