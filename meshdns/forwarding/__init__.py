"""CORE. Which upstream, when to retry, when to give up; the cache.

Does not belong here: sockets, clocks.
"""
