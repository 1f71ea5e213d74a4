"""Which device a job computes on.

Snakemake counts `gpu=2` but never says which one. ``gpus`` knows what this process may use,
``leases`` keeps jobs off one another's, ``claim`` gives a job its own, ``placement`` puts a method
there, and ``host_memory`` is for computing on the CPU. Torch is imported inside functions only.
"""
