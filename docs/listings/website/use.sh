curl http://www.shop.example/
