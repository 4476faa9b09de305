"""CORE. Kubernetes and Istio objects as slim values, and the problems found while they are read.

Does not belong here: what the objects mean for a name.
"""
