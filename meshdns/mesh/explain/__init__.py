"""CORE. The explanation of a name: its value, how it is built from the mesh state, and its text.

Does not belong here: choosing an answer; that is done once, in `meshdns.mesh.answer`.
"""
