"""The command line: what parses words and prints, one module a group of commands."""
