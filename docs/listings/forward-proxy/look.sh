curl -v --proxytunnel -x http://proxy.company.example:3128 --proxy-user anna https://relay.example:443/
