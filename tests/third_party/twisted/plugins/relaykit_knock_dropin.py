"""What this package adds to relaykit, and to Twisted."""

from relaykit.plugins import ProxyTypeReference

from relaykit_knock.shout import ShoutParser

knock = ProxyTypeReference("knock", "relaykit_knock.knock", commands=("gate", "knock"))
shout = ShoutParser()
