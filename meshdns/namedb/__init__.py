"""EDGE. The name database: the only access to LMDB, with its layout, writer, reader and snapshot.

Does not belong here: what a name means, encoding of answers, settings.
"""
