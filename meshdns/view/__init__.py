"""EDGE. The only door to LMDB: layout, writer, reader, snapshot.

Does not belong here: what a row means to a mesh.
"""
