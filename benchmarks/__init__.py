"""Measures the budgets of the design on one machine: ``python -m benchmarks``. A table, no pass or fail."""
