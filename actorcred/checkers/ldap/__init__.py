"""Users in an LDAP directory."""
