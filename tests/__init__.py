"""The tests; a package so that `tests.rig` and `tests.bench` can be imported from the repository's root."""
