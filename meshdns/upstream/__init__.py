"""EDGE. Exchanges with upstream servers over UDP and TCP.

Does not belong here: policy: that is forwarding.
"""
