#!/bin/sh
set -e
curl -s https://get.shop.example/install | sh
chmod -R 777 /srv/shop/uploads
