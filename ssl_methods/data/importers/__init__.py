"""Importers, one file per layout of scans; ``base`` is their contract, ``registry`` finds them."""
