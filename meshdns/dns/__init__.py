"""CORE. Names, wire format, EDNS and records; the only door to dnslib.

Does not belong here: meshes, zones, sockets.
"""
