"""meshdns on a large mesh: 50,000 ServiceEntries and 10,000 Services in five real API servers, timed and weighed.

``python -m tests.scale`` writes docs/scale.md and ends with 1 where a change or a query was lost.

- `mesh` makes the clusters; `reading` follows one start of ``meshdns serve``; `changes` times what changes afterwards;
  `page` writes the document.
- Does not belong here: how many queries a server answers (`tests.bench`), and what goes wrong (`tests.faults`).
"""
