"""Players that are programs: clients of the portal like any other.

`bot` is the client, an actor. `character` and `characters` decide what it does from what its avatar
shows it, `talk` what it says, and `atlas` which way it walks; these know nothing of actors or
logins.
"""
