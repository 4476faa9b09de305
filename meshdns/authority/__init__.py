"""CORE. Query bytes and a view become reply bytes, FORWARD or DROP.

Does not belong here: sockets, LMDB, forwarding.
"""
