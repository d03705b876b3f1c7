relaykit server --quick --host relay.example --http-port 8000 --subdomain-host relay.example
