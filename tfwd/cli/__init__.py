"""The command `tfwd`: one file per command. Only this package and `tfwd.train` know the package `export`."""
