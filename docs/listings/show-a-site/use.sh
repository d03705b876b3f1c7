curl http://demo.relay.example:8000/?q=1
