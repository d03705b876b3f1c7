definition='{"name": "ssh", "type": "tcp", "tcp": {"localPort": 22, "remotePort": 6000, "enabled": false}}'
curl --fail -u "admin:a password of yours" -X PUT -d "$definition" http://127.0.0.1:7400/api/store/proxies/ssh
