"""One YAML file as pydantic models: its sections, the features, the checks between them, the presets."""
