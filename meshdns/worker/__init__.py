"""EDGE. The worker process: UDP and TCP listeners around authority and forwarding.

Does not belong here: kubernetes, aiohttp, pydantic.
"""
