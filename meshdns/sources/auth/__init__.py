"""EDGE. Kubeconfigs, exec plugins and the credentials that come out of them, with their expiry.

Does not belong here: connections that use the credentials.
"""
