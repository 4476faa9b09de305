"""Shared by the processes of one instance: scoreboard, metric pages, query samples, logs, the pipe to the supervisor.

Does not belong here: settings, DNS answers, mesh data.
"""
