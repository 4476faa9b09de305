"""EDGE. The control process: sources to mesh to view, cluster states, gateway names and probes.

Does not belong here: query handling; Kubernetes client code.
"""
