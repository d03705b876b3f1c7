curl --fail -u "admin:a password of yours" -X DELETE http://127.0.0.1:7400/api/store/proxies/ssh
