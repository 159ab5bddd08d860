"""The offline job: load, split, fit, evaluate, publish."""
