"""A sweep while it runs, as its files show it: the verb `watch`, and the workflow's console."""
