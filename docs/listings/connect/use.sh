ssh -o "ProxyCommand=nc -X connect -x relay.example:1337 %h %p" machine-1.example
