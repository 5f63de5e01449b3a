"""What a trained model has learned, in words that a person knows."""
