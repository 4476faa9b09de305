"""EDGE. A folder of manifests as a source: one sub-folder is one cluster.

Does not belong here: reading of YAML documents, which kubeconfigs need as well (`meshdns.sources.documents`).
"""
