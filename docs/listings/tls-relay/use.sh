curl https://shop.example/
curl -L http://www.shop.example/cart
