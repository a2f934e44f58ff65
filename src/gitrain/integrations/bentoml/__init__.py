"""BentoML: the service that a release runs as, and the bundle that it is packed into."""
