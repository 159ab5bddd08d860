"""A seeded shop with latent truth, as a log of events and as an environment that answers slates."""

from training.simulator.log_out import SimulationSummary, simulate

__all__ = ["SimulationSummary", "simulate"]
