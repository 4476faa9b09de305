"""The commands of ``meshdns``, one module each.

Does not belong here: code that two commands share; it stands in `meshdns.cli`.
"""
