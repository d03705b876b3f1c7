openssl x509 -in server.crt -noout -fingerprint -sha256
