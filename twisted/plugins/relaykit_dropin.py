"""What relaykit adds to Twisted: types of proxies, carriers, policies, local services, and two programs."""

from twisted.application.service import ServiceMaker

from relaykit.local_services.parsing import LocalServiceParser
from relaykit.plugins import CarrierReference, PolicyReference, ProxyTypeReference

tcp = ProxyTypeReference("tcp", "relaykit.proxies.tcp", commands=("tcp",))
http = ProxyTypeReference("http", "relaykit.proxies.http", commands=("http",))
https = ProxyTypeReference("https", "relaykit.proxies.https", commands=("https",))
tcpmux = ProxyTypeReference("tcpmux", "relaykit.proxies.tcpmux")
stcp = ProxyTypeReference("stcp", "relaykit.proxies.stcp", commands=("secret", "visit"))
udp = ProxyTypeReference("udp", "relaykit.proxies.udp", commands=("udp",))
sudp = ProxyTypeReference("sudp", "relaykit.proxies.sudp", commands=("secret --udp", "visit --udp"))
xtcp = ProxyTypeReference(
    "xtcp",
    "relaykit.proxies.xtcp",
    commands=("secret --direct", "visit --direct"),
    has_messages=True,
)

tcp_carrier = CarrierReference("tcp", "relaykit.carriers.tcp")
websocket_carrier = CarrierReference("websocket", "relaykit.carriers.websocket")
wss_carrier = CarrierReference("wss", "relaykit.carriers.wss")
kcp_carrier = CarrierReference("kcp", "relaykit.carriers.kcp.carrier")
quic_carrier = CarrierReference("quic", "relaykit.carriers.quic.carrier")

http_policy = PolicyReference("http", "relaykit.policies.http.policy")

http_proxy_service = LocalServiceParser("http_proxy", "relaykit.local_services.http_proxy")
socks5_service = LocalServiceParser("socks5", "relaykit.local_services.socks5")
tls2raw_service = LocalServiceParser("tls2raw", "relaykit.local_services.tls2raw")
static_file_service = LocalServiceParser("static_file", "relaykit.local_services.static_file")
http2http_service = LocalServiceParser("http2http", "relaykit.local_services.reverse_proxies", "http2http")
http2https_service = LocalServiceParser("http2https", "relaykit.local_services.reverse_proxies", "http2https")
https2http_service = LocalServiceParser("https2http", "relaykit.local_services.reverse_proxies", "https2http")
https2https_service = LocalServiceParser(
    "https2https", "relaykit.local_services.reverse_proxies", "https2https"
)
virtual_net_service = LocalServiceParser("virtual_net", "relaykit.local_services.virtual_net")

relay_server = ServiceMaker(
    "relaykit server", "relaykit.tap.server", "A relay server, compatible with frps.", "relaykit-server"
)
relay_client = ServiceMaker(
    "relaykit client",
    "relaykit.tap.client",
    "A client of a relay server, compatible with frpc.",
    "relaykit-client",
)
