"""A multiplayer arena: a realm, its avatars and minds, with bots as players."""
