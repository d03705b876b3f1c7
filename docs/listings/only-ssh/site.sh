ssh -R :80:127.0.0.1:8080 v0@relay.example -p 2200 http --proxy_name demo --sd demo --token TOKEN
