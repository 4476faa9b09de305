"""One module per command; parses arguments, calls one thing, prints, exits.

Does not belong here: I/O of its own beyond files and the terminal.
"""
