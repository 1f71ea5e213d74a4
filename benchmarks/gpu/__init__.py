"""What is measured on a GPU alone, each a module that `benchmarks.gpu_day` calls."""
