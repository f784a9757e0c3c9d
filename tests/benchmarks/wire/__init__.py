"""The wire compared with others: server and client in separate processes, on loopback."""
