"""
title: Passes a model server on, in the ways that are in use
"""

import json
import time
import uuid

import aiohttp
import httpx
import requests
from pydantic import BaseModel, Field
from starlette.background import BackgroundTask
from starlette.responses import StreamingResponse


class Pipe:
    class Valves(BaseModel):
        BASE_URL: str = Field(default="", description="Where the model server is.")
        API_KEY: str = Field(default="", json_schema_extra={"input": {"type": "password"}})

    def __init__(self):
        self.type = "manifold"
        self.id = "passing"
        self.name = "pass: "
        self.valves = self.Valves(**{"BASE_URL": "set in the constructor"})
        self.finished = []

    def pipes(self):
        if not self.valves.API_KEY:
            return [{"id": "error", "name": "API key not provided."}]
        listed = requests.get(f"{self.valves.BASE_URL}/models", headers=self.headers(), timeout=20)
        listed.raise_for_status()
        ways = ("lines", "httpx", "aiohttp", "made", "response", "finished")
        return [{"id": f"{way}.{listed.json()['data'][0]['id']}", "name": way.title()} for way in ways]

    def headers(self):
        return {"Authorization": f"Bearer {self.valves.API_KEY}", "Content-Type": "application/json"}

    async def pipe(self, body: dict, __user__: dict):
        _, way, model = body["model"].split(".", 2)
        url, payload = f"{self.valves.BASE_URL}/chat/completions", {**body, "model": model}
        try:
            return await getattr(self, f"by_{way}")(url, payload)
        except Exception as error:
            return f"Error: {error}"

    async def by_lines(self, url, payload):
        stream = payload.get("stream", False)
        response = requests.post(url, json=payload, headers=self.headers(), stream=stream, timeout=20)
        response.raise_for_status()
        return response.iter_lines() if stream else response.json()

    async def by_httpx(self, url, payload):
        if not payload.get("stream"):
            async with httpx.AsyncClient(timeout=20) as client:
                return (await client.post(url, json=payload, headers=self.headers())).json()

        async def lines():
            async with httpx.AsyncClient(timeout=20) as client:
                async with client.stream("POST", url, json=payload, headers=self.headers()) as response:
                    async for line in response.aiter_lines():
                        if line:
                            yield line + "\n\n"

        return lines()

    async def by_aiohttp(self, url, payload):
        async def deltas():
            async with aiohttp.ClientSession() as session:
                async with session.post(url, json=payload, headers=self.headers()) as response:
                    if not payload.get("stream"):
                        yield (await response.json())["choices"][0]["message"]["content"]
                        return
                    async for line in response.content:
                        line = line.decode("utf-8").strip()
                        if line.startswith("data: ") and line != "data: [DONE]":
                            yield json.loads(line[6:])["choices"][0]["delta"].get("content", "")

        return deltas()

    async def by_made(self, url, payload):
        if not payload.get("stream"):
            return "made by hand"

        def chunks():
            id, created = f"chatcmpl-{uuid.uuid4()}", int(time.time())
            for delta, reason in [({"role": "assistant"}, None), ({"content": "made by hand"}, None), ({}, "stop")]:
                choice = {"index": 0, "delta": delta, "finish_reason": reason}
                chunk = {"id": id, "object": "chat.completion.chunk", "created": created, "choices": [choice]}
                yield f"data: {json.dumps(chunk)}\n\n"
            yield "data: [DONE]\n\n"

        return chunks()

    async def by_response(self, url, payload):
        client = httpx.AsyncClient(timeout=20)
        request = client.build_request("POST", url, json=payload, headers=self.headers())
        response = await client.send(request, stream=True)

        async def finish():
            await response.aclose()
            await client.aclose()
            self.finished.append(payload["model"])

        kind = response.headers["content-type"]
        return StreamingResponse(response.aiter_raw(), media_type=kind, background=BackgroundTask(finish))

    async def by_finished(self, url, payload):
        return f"{self.finished}"
