curl --fail -u "admin:a password of yours" http://127.0.0.1:7400/api/status
curl --fail -u "admin:a password of yours" http://127.0.0.1:7400/api/config
