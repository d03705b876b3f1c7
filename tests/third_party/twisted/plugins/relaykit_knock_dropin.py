"""What this package adds to relaykit, and to Twisted."""

from relaykit.local_services.parsing import LocalServiceParser
from relaykit.plugins import CarrierReference, PolicyReference, ProxyTypeReference

from relaykit_knock.shout import ShoutParser

bell = ProxyTypeReference("bell", "relaykit_knock.bell", has_messages=True)
beacon = ProxyTypeReference("beacon", "relaykit_knock.beacon")
knock = ProxyTypeReference("knock", "relaykit_knock.knock", commands=("gate", "knock"))
room = ProxyTypeReference("room", "relaykit_knock.room")
greet = ProxyTypeReference("greet", "relaykit_knock.greet")
hail = CarrierReference("hail", "relaykit_knock.hail")
pipe = CarrierReference("pipe", "relaykit_knock.pipe")
quotas = PolicyReference("quotas", "relaykit_knock.quotas")
shout = ShoutParser()
visitors = LocalServiceParser("visitors", "relaykit_knock.visitors")
