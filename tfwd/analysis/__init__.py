"""What is learned from the training rows before training: vocabularies, quantiles, the label's base rate."""
