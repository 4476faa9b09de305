"""CORE. Query bytes and a name database become reply bytes or a `Verdict`.

Does not belong here: sockets, LMDB, forwarding.
"""
