"""Users in an LDAP directory."""

__all__: list[str] = []
