curl --fail -u "admin:a password of yours" -X POST http://127.0.0.1:7500/api/relaykit/v1/proxies/ssh/probe
curl --fail -u "admin:a password of yours" http://127.0.0.1:7500/api/relaykit/v1/proxies/ssh
