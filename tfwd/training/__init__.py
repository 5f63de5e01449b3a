"""Training: from data to a run directory."""
