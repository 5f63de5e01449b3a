"""The command `tfwd`: one file a command. The only room, with `tfwd.train`, that knows the package `export`."""
