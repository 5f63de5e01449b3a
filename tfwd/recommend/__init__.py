"""Lists of items for a user: the catalogue, all its scores at once, the best of them, and the reasons."""
