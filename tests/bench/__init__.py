"""What meshdns costs beside other servers: ``python -m tests.bench`` prints a table, and keeps it as JSON and Markdown.

Rules:
- Ratios count, not figures: a workload's servers take turns (A B A B …), and a ratio is the median of the turns' own.
- The servers stand on the first core, everything else (the load generator, an upstream, API servers) on the second.
- Processor time is the kernel's own account (schedstat) of the whole process tree, whatever the wall clock did.
- `peers.PEERS` and `workloads.WORKLOADS` are the tables; a new server or a new load is a new row there.
- Nothing here fails because something was slow. Lost and wrong answers are counted and stand beside each figure.

Does not belong here: tests of behaviour, and bounds on times.
"""
