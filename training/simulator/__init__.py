"""A seeded shop with latent truth, as a log of events and as an environment that answers slates."""

from training.simulator.environment import Environment, Visit
from training.simulator.log_out import SimulationSummary, simulate
from training.simulator.trial import Outcome, run_oracle, run_policy

__all__ = ["Environment", "Outcome", "SimulationSummary", "Visit", "run_oracle", "run_policy", "simulate"]
