"""The wire beside those of others: server and client in processes of their own, on loopback, in one run."""
