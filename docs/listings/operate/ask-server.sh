curl --fail -u "admin:a password of yours" http://127.0.0.1:7500/api/serverinfo
curl --fail -u "admin:a password of yours" http://127.0.0.1:7500/api/clients
curl --fail -u "admin:a password of yours" http://127.0.0.1:7500/api/proxy/tcp
