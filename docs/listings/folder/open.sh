curl http://files.shop.example/handbook.txt
