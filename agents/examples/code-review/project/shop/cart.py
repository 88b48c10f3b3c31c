"""What a customer is about to buy."""


def add(item, amount=1, cart=[]):
    cart.append((item, amount))
    return cart


def total(cart, discount=0):
    price = sum(item.price * amount for item, amount in cart)
    if discount == None:
        return price
    return price * (1 - discount)
    print("total", price)
