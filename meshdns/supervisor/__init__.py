"""EDGE. The parent process: sockets, settings with a generation number, scoreboard, children, health.

Does not belong here: anything that reads a cluster or a query.
"""
