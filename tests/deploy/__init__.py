"""The deployment: chart, manifests, image, units and package, each proven by what consumes it.

`render` writes the manifests, `image` runs the image's steps, `pod` runs what a manifest says as a node would.
"""
