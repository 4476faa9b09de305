"""One fault after the other against real API servers, and what dig, ``meshdns get`` and the server say.

``python -m tests.faults`` runs in a network namespace of its own, writes docs/faults.md, and ends with 1 where an
answer was wrong, another cluster was disturbed, or a failing API server was asked too often.

- `network` makes the namespace, drops packets and counts connections; `cluster` is one API server with its store and
  its reader; `catalogue` has the faults; `watching` looks; `playing` puts them together; `page` writes the document.
- Does not belong here: many faults at once and for long (`tests.soak`), and faults that no real server can be made to
  show (`tests/sources`).
"""
