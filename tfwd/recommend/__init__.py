"""A list of items for a user: the catalogue, its scores at once, the best of them, and why."""
