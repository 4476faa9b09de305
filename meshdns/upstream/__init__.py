"""EDGE. Exchanges with upstream servers over UDP, TCP and TLS.

Does not belong here: policy: that is forwarding.
"""
