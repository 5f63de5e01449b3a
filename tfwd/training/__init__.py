"""Training: data in, a run directory out."""
