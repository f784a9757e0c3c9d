"""Speed and memory, each figure next to a peer in the same run: `python -m tests.benchmarks`."""
