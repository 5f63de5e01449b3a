"""From an event log to training files: join, derived columns, history, split."""
