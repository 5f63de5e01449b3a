"""What a trained model has learnt, in words that a person knows."""
