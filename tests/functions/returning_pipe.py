"""A pipe that returns or yields what a message orders. Stands behind `returned.py`."""


class Pipe:
    def pipe(self, body):
        order = Order(body)
        good = {"choices": [{"index": 0, "message": {"content": "good"}, "delta": {"content": "good"}}]}
        value = order.apply(order.place, good)
        return self.items(value) if order.place == "yield" else value

    def items(self, value):
        yield "first words"
        yield value
