"""What is asked of an experiment's measurements: a file for each question, hence each table."""
