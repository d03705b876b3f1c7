certbot renew --http-01-port 8402
