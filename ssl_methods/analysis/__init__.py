"""From the measurements of runs to tables with uncertainty. Reads files, imports no torch."""
