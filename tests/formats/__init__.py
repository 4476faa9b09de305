"""What meshdns writes and another version reads: recordings by version, and the script that makes them.

Each folder of recordings is named after the version that made it. It does not belong here how the formats are used;
that is tested beside the code that reads them.
"""
