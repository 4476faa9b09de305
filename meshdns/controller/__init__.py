"""EDGE. The control process: sources to mesh to name database, cluster states, gateway names and probes.

Does not belong here: query handling; Kubernetes client code.
"""
