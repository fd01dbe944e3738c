"""Turns the answer into capitals once it is whole."""


class Filter:
    def outlet(self, body):
        message = body["messages"][-1]
        message["content"] = message["content"].upper()
        return body
