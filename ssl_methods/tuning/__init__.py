"""Tuning studies: which settings of a method are good, and how much they matter.

``study.py`` declares, ``space.py`` says what is searched, ``queue.py`` shares the trials out,
``worker.py`` runs them, ``answers.py`` writes tables, figures and ``best.yaml``.
"""
