"""Orders as text for the accountants."""


def line(order)
    return ";".join([order.number, order.customer, str(order.total)])


def header():
    return "number;customer;total"
