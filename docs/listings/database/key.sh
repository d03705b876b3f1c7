relaykit token -o db-key
