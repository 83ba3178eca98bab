"""What is wrong with a data set, said before anyone trains on it.

One file a family of checks; `run_checks` runs them all. Every check has the same form, see `findings`. Nothing here
learns or loads a network: features and probabilities come in as arrays, if the caller has them.
"""
