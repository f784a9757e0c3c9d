"""A chat that is reached by a browser, MessagePack-RPC, SSH and telnet at once."""
