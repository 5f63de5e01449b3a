"""One pass over the training rows: vocabularies, quantiles, the label's base rate."""
