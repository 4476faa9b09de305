"""CORE. What the clusters declare, and what every name means from here.

Belongs here: slim values read from Kubernetes objects, the rules of visibility, endpoints, gateways and levels, and the
answer that follows from them with its provenance. Does not belong here: I/O, clocks, threads, logging, wire format.
"""
