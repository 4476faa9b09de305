"""CORE. Stub domains: what the servers in front are told so that they send zones here, and what their answers show.

Belongs here: texts for each kind of server, their place in what is deployed, verdicts on replies. Does not belong here:
asking anybody, reading files or API servers.
"""
