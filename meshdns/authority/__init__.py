"""CORE. Query bytes and a name database become reply bytes, FORWARD or DROP.

Does not belong here: sockets, LMDB, forwarding.
"""
