"""EDGE. The admin API and the web page: what the controller tells operators about names, clusters and queries.

Does not belong here: decisions about names; source events.
"""
