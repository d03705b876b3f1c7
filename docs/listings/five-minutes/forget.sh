relaykit forget relay.example
