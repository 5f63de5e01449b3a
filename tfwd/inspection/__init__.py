"""What a trained model has learned, in human-readable names."""
