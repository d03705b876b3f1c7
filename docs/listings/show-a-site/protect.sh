echo "a long password" > password
relaykit http 8080 --subdomain demo --name demo --http-user ann --http-password-file password
