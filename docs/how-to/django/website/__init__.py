"""A site of Django, and a game beside it."""
