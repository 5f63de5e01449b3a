"""The TF Serving kit: `python -m export.serving OUT`."""
