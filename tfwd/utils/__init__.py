"""What knows no feature, no row and no model: files, and who holds them."""
