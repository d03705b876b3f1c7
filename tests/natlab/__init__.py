"""A NAT laboratory in network namespaces, and the tests that need one.

No namespace has a link to the machine's network.  A socket stays in the namespace that it was made
in, so one process with one reactor is both peers and the server at once.
"""
