"""The smallest pipe."""


class Pipe:
    def pipe(self, body):
        return "you said: " + body["messages"][-1]["content"]
