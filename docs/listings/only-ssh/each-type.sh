ssh -R :80:127.0.0.1:22 v0@relay.example -p 2200 tcp --proxy_name ssh --remote_port 6000 --token TOKEN
ssh -R :80:127.0.0.1:8443 v0@relay.example -p 2200 https --proxy_name shop --custom_domain shop.example --token TOKEN
ssh -R :80:127.0.0.1:22 v0@relay.example -p 2200 tcpmux --proxy_name pi --mux httpconnect --sd pi --token TOKEN
ssh -R :80:127.0.0.1:5432 v0@relay.example -p 2200 stcp --proxy_name db --sk KEY --token TOKEN
