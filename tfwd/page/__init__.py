"""A page in a browser on which a person asks the model of a run: `mount` puts it into a web application."""
