"""Objects at the maximum of their kind, through everything that reads them: how long that takes, and how much memory.

``python -m tests.maxima`` measures and writes ``docs/maxima.md``; the tests here hold the bounds on work and memory.
"""
