"""EDGE. API servers as a source: HTTP client, list and watch, identity of a cluster, access rules.

Does not belong here: credentials and kubeconfigs (`meshdns.sources.auth`); what objects mean.
"""
