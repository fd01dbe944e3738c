"""
title: Calls the server it runs in
"""

import os

import httpx
import requests
from pydantic import BaseModel


class Filter:
    class Valves(BaseModel):
        webui_url: str = os.environ.get("WEBUI_URL", "http://localhost:8080")
        api_key: str = ""

    def __init__(self):
        self.valves = self.Valves()

    async def inlet(self, body, __request__):
        text = body["messages"][-1]["content"]
        if text.startswith("Summarise:"):
            return body
        headers = {"Authorization": f"Bearer {self.valves.api_key}"}
        # Blocks, as many files do.
        listed = requests.get(f"{str(__request__.base_url).rstrip('/')}/api/models", headers=headers, timeout=20)
        ask = {"model": body["model"], "messages": [{"role": "user", "content": f"Summarise: {text}"}]}
        async with httpx.AsyncClient(timeout=20) as client:
            url = f"{self.valves.webui_url}/api/chat/completions"
            answer = (await client.post(url, json=ask, headers=headers)).json()
        summary = answer["choices"][0]["message"]["content"]
        body["messages"][-1]["content"] = f"{listed.json()['data'][0]['id']} <{summary}>"
        return body
