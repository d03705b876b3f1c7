export https_proxy=http://anna:p%40ssword@proxy.company.example:3128
export RELAYKIT_TOKEN=the-token-of-the-server
relaykit tcp 22 --server relay.example:443 --remote-port 6000
