"""What relaykit adds to Twisted: its proxy types."""

from relaykit.plugins import ProxyTypeReference

tcp = ProxyTypeReference("tcp", "relaykit.proxies.tcp")
stcp = ProxyTypeReference("stcp", "relaykit.proxies.stcp")
