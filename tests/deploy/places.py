"""Where the parts of the deployment are."""

from pathlib import Path
from typing import Final

CHECKOUT: Final = Path(__file__).resolve().parents[2]
DEPLOY: Final = CHECKOUT / "deploy"
CHART: Final = DEPLOY / "chart"
KUSTOMIZE: Final = DEPLOY / "kustomize"
OVERLAYS: Final = ("nodelocal", "gke", "openshift", "host-network", "deployment")
