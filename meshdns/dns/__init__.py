"""CORE. Names, wire format, EDNS, records and blocks of addresses; the only door to dnslib.

Does not belong here: meshes, zones, sockets.
"""
