import unittest

from shop.cart import add, total


class Cart(unittest.TestCase):
    def test_an_item_is_added(self):
        self.assertEqual(len(add("tea", cart=[])), 1)

    def test_an_empty_cart_costs_nothing(self):
        self.assertEqual(total([]), 0)
