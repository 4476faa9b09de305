"""One test for each vulnerability of another product that applies here; `lessons` is the table.

Does not belong here: what is tested elsewhere already; the table names it.
"""
