"""Other people's protocol servers on a portal, each by an adapter that knows its library and the portal, and nothing else.

Importing this package loads none of them: `actorcred.adapters.twisted`, `.asyncssh`, `.aiosmtpd`, `.asgi`.
"""

__all__: list[str] = []
