"""The arena on several nodes: each has a region of the island, in a process of its own.

`show` starts the processes, `node` is one of them. `realm` is the arena of a node, `avatars` its
players, who walk from node to node. `line` is how the nodes hear each other, `board` what they make
of each other's points, and `standings` where these outlive a node.
"""
