relaykit token -o token
