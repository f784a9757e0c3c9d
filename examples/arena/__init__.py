"""A multiplayer arena: the realm, avatars and minds of actorcred at work, with bots for players."""
