curl --user 'alice:a long and random text' http://files.shop.example/handbook.txt
curl --user 'alice:a long and random text' --range 4-11 http://files.shop.example/handbook.txt
