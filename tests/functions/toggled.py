"""A filter that runs only for those who turn it on."""


class Filter:
    def __init__(self):
        self.toggle = True

    def inlet(self, body):
        body["messages"][-1]["content"] += " toggled"
        return body
