"""A chat that is reached by browser, MessagePack-RPC, SSH and telnet at the same time."""
