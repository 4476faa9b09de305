"""EDGE. Where declarations come from: a folder of manifests, kubeconfigs, remote secrets, the pod's own cluster.

A source reads objects, turns each into a slim value at this border with `meshdns.mesh.objects.parse.parse_object`, and
reports to a `Sink`. It decides nothing about names. Belongs here: list + watch, files, credentials. Does not belong
here: meaning.
"""
