"""How a slate is decided: bundle + state + request → slate. No network, no Redis, no MLflow, no web."""
