"""meshdns: mesh-aware DNS for Istio meshes that span clusters."""

__version__ = "0.1.0"
