"""What each API server bears is known before the instances are started."""

from meshdns.cli.commands.check import watch_counts
from meshdns.config.model import Settings


def test_each_api_server_is_named_with_its_watches() -> None:
    """Eight per cluster, seven without readiness, and one more where the remote secrets are."""
    sources = [
        {"kind": "inCluster", "cluster": "east"},
        {"kind": "kubeconfig", "path": "/k", "contexts": ["west"]},
        {"kind": "kubeconfig", "path": "/folder"},
        {"kind": "remoteSecrets", "namespace": "meshdns"},
        {"kind": "manifests", "path": "/clusters"},
    ]
    settings = Settings.model_validate({"sources": sources, "clusters": {"west": {"readiness": False}}})
    assert list(watch_counts(settings)) == [
        ("cluster east", 8),
        ("cluster west", 7),
        ("each cluster of /folder", 8),
        ("the cluster with the remote secrets of meshdns, in addition", 1),
        ("each cluster of the remote secrets of meshdns", 8),
    ]
