"""A service of Twisted's Perspective Broker on our portal.

The same service is also written as actors, and served by PB and by our own wire.
"""
