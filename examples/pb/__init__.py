"""A service of Twisted's Perspective Broker on our portal, and the same service as ours, by PB and by our own wire."""
