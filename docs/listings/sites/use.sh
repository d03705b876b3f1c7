curl http://shop.example/
curl http://shop.example/api/orders
curl --user "next:a word for the team" http://shop.example/
curl http://berlin.customers.example/
curl --user "anna:a word of her own" http://notes.relay.example/
curl http://notes.relay.example/
curl http://nobody.relay.example/
