class Filter:
    def request(self, body, __metadata__):
        offered = [tool["function"]["name"] for tool in body.get("tools", [])]
        known = {name: tool["tool_id"] for name, tool in __metadata__.get("tools", {}).items()}
        body["seen"] = {"offered": offered, "known": known}
        return body
