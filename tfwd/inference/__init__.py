"""What answers raw rows: the readers of what the exports say of themselves."""
