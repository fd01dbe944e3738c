class Pipe:
    async def pipe(self, body, __tools__):
        name = body["messages"][-1]["content"]
        if name == "list":
            return ",".join(__tools__)
        try:
            arguments = {"a": 1, "b": 5} if name == "add" else {}
            return str(await __tools__[name]["callable"](**arguments))
        except Exception as error:
            return f"failed: {error}"
