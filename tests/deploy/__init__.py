"""The manifests, the admission policy and the image of deploy/."""
