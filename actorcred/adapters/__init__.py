"""Adapters that run the protocol servers of other libraries on a portal.

Each knows its library and the portal, and nothing else. Importing this package loads none of them:
`actorcred.adapters.twisted`, `.asyncssh`, `.aiosmtpd`, `.asgi`, `.wsgi`.
"""

__all__: list[str] = []
