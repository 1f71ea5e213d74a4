"""What tests share: tiny and simulated data, a page read back, Snakemake in a folder of its own."""
