"""Old INI files with every key that the table of old names has, and what they are today."""

from __future__ import annotations

__all__ = ["CLIENT_INI", "CLIENT_TOML", "SERVER_INI", "SERVER_TOML"]

SERVER_INI = """\
# The server.
[common]
bind_addr = 0.0.0.0
bind_port = 7000
kcp_bind_port = 7001
quic_bind_port = 7002
proxy_bind_addr = 127.0.0.1
; sites
vhost_http_port = 80
vhost_https_port = 443
vhost_http_timeout = 60
tcpmux_httpconnect_port = 1337
tcpmux_passthrough = false
subdomain_host = example.com
custom_404_page = /srv/404.html
enable_prometheus = true
detailed_errors_to_client = no
max_ports_per_client = 3
user_conn_timeout = 10
allow_ports = 2000-3000,3001, 4000-5000
nat_hole_analysis_data_reserve_hours = 24
max_pool_count = 5
tcp_keepalive = 7200
tls_only = true
dashboard_port = 7500
dashboard_user = admin
dashboard_pwd = "a # b"
dashboard_addr = 127.0.0.1
dashboard_tls_mode = true
dashboard_tls_cert_file = web.crt
dashboard_tls_key_file = web.key
assets_dir = ./static
pprof_enable = true
oidc_issuer = https://id.example.com
oidc_skip_expiry_check = true
oidc_skip_issuer_check = false
token = s3cret
authentication_method = token
authenticate_heartbeats = true
authenticate_new_work_conns = true
oidc_audience = relay
log_file = console
log_way = console
log_level = info
log_max_days = 3
disable_log_color = false
tcp_mux = true
tcp_mux_keepalive_interval = 30
heartbeat_timeout = 90
quic_keepalive_period = 10
quic_max_idle_timeout = 30
quic_max_incoming_streams = 1000
tls_cert_file = server.crt
tls_key_file = server.key
tls_trusted_ca_file = ca.crt
udp_packet_size = 1500

# Who may log in.
[plugin.user-manager]
addr = http://127.0.0.1:9000
path = /handler
ops = Login, NewProxy
tlsVerify = false
# The end.
"""

SERVER_TOML = """\
# The server.
bindAddr = "0.0.0.0"
bindPort = 7000
kcpBindPort = 7001
quicBindPort = 7002
proxyBindAddr = "127.0.0.1"
# sites
vhostHTTPPort = 80
vhostHTTPSPort = 443
vhostHTTPTimeout = 60
tcpmuxHTTPConnectPort = 1337
tcpmuxPassthrough = false
subDomainHost = "example.com"
custom404Page = "/srv/404.html"
enablePrometheus = true
detailedErrorsToClient = false
maxPortsPerClient = 3
userConnTimeout = 10
allowPorts = [{ start = 2000, end = 3000 }, { single = 3001 }, { start = 4000, end = 5000 }]
natholeAnalysisDataReserveHours = 24
transport.maxPoolCount = 5
transport.tcpKeepalive = 7200
transport.tls.force = true
transport.tls.certFile = "server.crt"
transport.tls.keyFile = "server.key"
transport.tls.trustedCaFile = "ca.crt"
transport.tcpMux = true
transport.tcpMuxKeepaliveInterval = 30
transport.heartbeatTimeout = 90
transport.quic.keepalivePeriod = 10
transport.quic.maxIdleTimeout = 30
transport.quic.maxIncomingStreams = 1000
webServer.port = 7500
webServer.user = "admin"
webServer.password = "a # b"
webServer.addr = "127.0.0.1"
webServer.tls.certFile = "web.crt"
webServer.tls.keyFile = "web.key"
webServer.assetsDir = "./static"
webServer.pprofEnable = true
auth.oidc.issuer = "https://id.example.com"
auth.oidc.skipExpiryCheck = true
auth.oidc.skipIssuerCheck = false
auth.oidc.audience = "relay"
auth.token = "s3cret"
auth.method = "token"
auth.additionalScopes = ["HeartBeats", "NewWorkConns"]
log.to = "console"
log.level = "info"
log.maxDays = 3
log.disablePrintColor = false
udpPacketSize = 1500

# Who may log in.
[[httpPlugins]]
name = "user-manager"
addr = "http://127.0.0.1:9000"
path = "/handler"
ops = ["Login", "NewProxy"]
tlsVerify = false

# The end.
"""

CLIENT_INI = """\
[common]
server_addr = relay.example.com
server_port = 7000
user = anna
nat_hole_stun_server = stun.example.com:3478
dns_server = 9.9.9.9
login_fail_exit = false
start = ssh, web, v
includes = ./more/*.ini
dial_server_timeout = 10
dial_server_keepalive = 7200
connect_server_local_ip = 192.0.2.5
http_proxy = http://u:p@192.0.2.9:8080
pool_count = 5
protocol = tcp
heartbeat_interval = 30
tls_enable = true
tls_server_name = relay.example.com
disable_custom_tls_first_byte = true
admin_addr = 127.0.0.1
admin_port = 7400
admin_user = admin
admin_pwd = admin
oidc_client_id = id
oidc_client_secret = secret
oidc_scope = scope
oidc_token_endpoint_url = https://id.example.com/token
oidc_additional_resource = r
meta_v ar = 1
token = s3cret
authentication_method = token
authenticate_heartbeats = false
authenticate_new_work_conns = true
oidc_audience = relay
log_file = ./frpc.log
log_way = file
log_level = debug
log_max_days = 7
disable_log_color = true
tcp_mux = false
tcp_mux_keepalive_interval = 30
heartbeat_timeout = 90
quic_keepalive_period = 10
quic_max_idle_timeout = 30
quic_max_incoming_streams = 1000
tls_cert_file = client.crt
tls_key_file = client.key
tls_trusted_ca_file = ca.crt
udp_packet_size = 1500
assets_dir = ./static
pprof_enable = false

[ssh]
role = server
type = stcp
local_ip = 127.0.0.1
local_port = 22
sk = abc
allow_users = *
use_encryption = true
use_compression = true
bandwidth_limit = 1MB
bandwidth_limit_mode = server
proxy_protocol_version = v2
group = g
group_key = k
health_check_type = http
health_check_timeout_s = 3
health_check_max_failed = 2
health_check_interval_s = 10
health_check_url = /status
meta_x = y

; two ports
[range:two]
local_port = 6000,6010
remote_port = 7000-7001

[web]
type = http
local_port = 8080
custom_domains = a.example.com, b.example.com
subdomain = web
locations = /,/pic
http_user = u
http_pwd = p
host_header_rewrite = inside.example.com
route_by_http_user = x
header_X-From-Where = frp

[console]
type = tcpmux
multiplexer = httpconnect
local_port = 23
custom_domains = c.example.com

[files]
plugin = static_file
remote_port = 6005
plugin_local_path = /srv
plugin_strip_prefix = static
plugin_http_user = u
plugin_http_passwd = p

[socks]
plugin = socks5
remote_port = 6006
plugin_user = u
plugin_passwd = p

[docker]
plugin = unix_domain_socket
remote_port = 6007
plugin_unix_path = /var/run/docker.sock

[secure]
type = https
custom_domains = d.example.com
plugin = https2http
plugin_local_addr = 127.0.0.1:80
plugin_crt_path = ./server.crt
plugin_key_path = ./server.key
plugin_host_header_rewrite = 127.0.0.1
plugin_header_X-From-Where = frp

[v]
role = visitor
type = xtcp
sk = abc
server_name = s
server_user = ben
bind_addr = 127.0.0.1
bind_port = 9000
use_encryption = true
use_compression = false
protocol = quic
keep_tunnel_open = true
max_retries_an_hour = 8
min_retry_interval = 90
fallback_to = w
fallback_timeout_ms = 500
"""

CLIENT_TOML = """\
serverAddr = "relay.example.com"
serverPort = 7000
user = "anna"
natHoleStunServer = "stun.example.com:3478"
dnsServer = "9.9.9.9"
loginFailExit = false
start = ["ssh", "web", "v"]
includes = ["./more/*.ini"]
transport.dialServerTimeout = 10
transport.dialServerKeepalive = 7200
transport.connectServerLocalIP = "192.0.2.5"
transport.proxyURL = "http://u:p@192.0.2.9:8080"
transport.poolCount = 5
transport.protocol = "tcp"
transport.heartbeatInterval = 30
transport.tls.enable = true
transport.tls.serverName = "relay.example.com"
transport.tls.disableCustomTLSFirstByte = true
transport.tls.certFile = "client.crt"
transport.tls.keyFile = "client.key"
transport.tls.trustedCaFile = "ca.crt"
transport.tcpMux = false
transport.tcpMuxKeepaliveInterval = 30
transport.heartbeatTimeout = 90
transport.quic.keepalivePeriod = 10
transport.quic.maxIdleTimeout = 30
transport.quic.maxIncomingStreams = 1000
webServer.addr = "127.0.0.1"
webServer.port = 7400
webServer.user = "admin"
webServer.password = "admin"
webServer.assetsDir = "./static"
webServer.pprofEnable = false
auth.oidc.clientID = "id"
auth.oidc.clientSecret = "secret"
auth.oidc.scope = "scope"
auth.oidc.tokenEndpointURL = "https://id.example.com/token"
auth.oidc.additionalEndpointParams.resource = "r"
auth.oidc.audience = "relay"
auth.token = "s3cret"
auth.method = "token"
auth.additionalScopes = ["NewWorkConns"]
metadatas."v ar" = "1"
log.to = "./frpc.log"
log.level = "debug"
log.maxDays = 7
log.disablePrintColor = true
udpPacketSize = 1500

[[proxies]]
name = "ssh"
type = "stcp"
localIP = "127.0.0.1"
localPort = 22
secretKey = "abc"
allowUsers = ["*"]
transport.useEncryption = true
transport.useCompression = true
transport.bandwidthLimit = "1MB"
transport.bandwidthLimitMode = "server"
transport.proxyProtocolVersion = "v2"
loadBalancer.group = "g"
loadBalancer.groupKey = "k"
healthCheck.type = "http"
healthCheck.timeoutSeconds = 3
healthCheck.maxFailed = 2
healthCheck.intervalSeconds = 10
healthCheck.path = "/status"
metadatas.x = "y"

# two ports
[[proxies]]
name = "two_0"
type = "tcp"
localPort = 6000
remotePort = 7000

[[proxies]]
name = "two_1"
type = "tcp"
localPort = 6010
remotePort = 7001

[[proxies]]
name = "web"
type = "http"
localPort = 8080
customDomains = ["a.example.com", "b.example.com"]
subdomain = "web"
locations = ["/", "/pic"]
httpUser = "u"
httpPassword = "p"
hostHeaderRewrite = "inside.example.com"
routeByHTTPUser = "x"
requestHeaders.set.X-From-Where = "frp"

[[proxies]]
name = "console"
type = "tcpmux"
multiplexer = "httpconnect"
localPort = 23
customDomains = ["c.example.com"]

[[proxies]]
name = "files"
type = "tcp"
plugin.type = "static_file"
plugin.localPath = "/srv"
plugin.stripPrefix = "static"
plugin.httpUser = "u"
plugin.httpPassword = "p"
remotePort = 6005

[[proxies]]
name = "socks"
type = "tcp"
plugin.type = "socks5"
plugin.username = "u"
plugin.password = "p"
remotePort = 6006

[[proxies]]
name = "docker"
type = "tcp"
plugin.type = "unix_domain_socket"
plugin.unixPath = "/var/run/docker.sock"
remotePort = 6007

[[proxies]]
name = "secure"
type = "https"
customDomains = ["d.example.com"]
plugin.type = "https2http"
plugin.localAddr = "127.0.0.1:80"
plugin.crtPath = "./server.crt"
plugin.keyPath = "./server.key"
plugin.hostHeaderRewrite = "127.0.0.1"
plugin.requestHeaders.set.X-From-Where = "frp"

[[visitors]]
name = "v"
type = "xtcp"
secretKey = "abc"
serverName = "s"
serverUser = "ben"
bindAddr = "127.0.0.1"
bindPort = 9000
transport.useEncryption = true
transport.useCompression = false
protocol = "quic"
keepTunnelOpen = true
maxRetriesAnHour = 8
minRetryInterval = 90
fallbackTo = "w"
fallbackTimeoutMs = 500
"""
