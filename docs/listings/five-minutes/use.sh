ssh -p 6000 relay.example
