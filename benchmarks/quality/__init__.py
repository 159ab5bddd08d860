"""Quality on public datasets: our lists beside tuned baselines that share no code with our retrievers."""
