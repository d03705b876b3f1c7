definition='{"name": "ssh", "type": "tcp", "tcp": {"localPort": 22, "remotePort": 6000}}'
curl --fail -u "admin:a password of yours" -d "$definition" http://127.0.0.1:7400/api/relaykit/v1/check
curl --fail -u "admin:a password of yours" -d "$definition" http://127.0.0.1:7400/api/store/proxies
