"""One module a peer: the same two pieces of work, each done as the peer's documentation says.

These run in the peers' own environments, so they may import the standard library, their peer and each other.
"""
