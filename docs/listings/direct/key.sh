relaykit token -o key
