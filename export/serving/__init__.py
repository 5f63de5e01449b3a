"""The serving kits, what servers need for a folder of models: `python -m export.serving OUT`."""
