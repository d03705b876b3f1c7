certbot certonly --standalone -d shop.example -d www.shop.example
