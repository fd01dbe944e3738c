"""Returns what a message orders, from the place that it names. Stands behind `returned.py`."""


class Filter:
    async def inlet(self, body):
        self.order = Order(body)
        return self.order.apply("inlet", body)

    async def stream(self, event):
        return self.order.apply("stream", event)

    async def outlet(self, body):
        changed = self.order.apply("outlet", body)
        if self.order.place == "outlet" and self.order.how == "inside":
            body["messages"][-1]["x"] = changed["x"]
            return body
        return changed
