"""Signs every event that passes."""


class Filter:
    def stream(self, event):
        event["calm"] = True
        return event
