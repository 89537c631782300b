"""The command `explore`: the interactive page, its pictures, and the server that shows it."""
