"""Asks for addresses in the ways that functions do, and says what came of it: `{"way", "url"}` for one, or of a socket."""

import asyncio
import json
import os
import socket
import urllib.request

import aiohttp
import httpx
import requests

SECONDS = 20


def with_urllib(url):
    with urllib.request.urlopen(url, timeout=SECONDS) as answer:
        return answer.read().decode()


def with_requests(url):
    answer = requests.get(url, timeout=SECONDS)
    return answer.text if answer.ok else f"failed: {answer.status_code} {answer.text}"


def with_one_session(urls):
    with requests.Session() as session:
        return " ".join(session.get(url, timeout=SECONDS).text for url in urls.split())


async def with_httpx(url):
    async with httpx.AsyncClient(timeout=SECONDS) as client:
        answer = await client.get(url, follow_redirects=True)
        return answer.text if answer.is_success else f"failed: {answer.status_code} {answer.text}"


async def with_aiohttp(url):
    limit = aiohttp.ClientTimeout(total=SECONDS)
    async with aiohttp.ClientSession(trust_env=True, timeout=limit) as session, session.get(url) as answer:
        return await answer.text() if answer.ok else f"failed: {answer.status} {await answer.text()}"


def with_a_socket(place):
    host, port = place.rsplit(":", 1)
    socket.create_connection((host, int(port)), SECONDS).close()
    return "connected"


def with_a_datagram(place):
    host, port = place.rsplit(":", 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect((host, int(port)))
        sender.send(b"hi")
    return "sent"


def with_a_name(name):
    return str(socket.getaddrinfo(name, 80))


def by_hand(head):
    """Past all libraries: a head for the proxy as it stands."""
    address = os.environ["http_proxy"].rsplit("/", 1)[1].split(":")
    with socket.create_connection((address[0], int(address[1])), SECONDS) as proxy:
        proxy.sendall(head.encode())
        return proxy.recv(4096).decode(errors="replace")


def devices(_):
    with open("/proc/self/net/dev", encoding="ascii") as file:
        return " ".join(line.split(":")[0].strip() for line in file.readlines()[2:])


WAYS = {
    "urllib": with_urllib,
    "requests": with_requests,
    "session": with_one_session,
    "httpx": with_httpx,
    "aiohttp": with_aiohttp,
    "socket": with_a_socket,
    "datagram": with_a_datagram,
    "name": with_a_name,
    "hand": by_hand,
    "devices": devices,
}


class Pipe:
    async def pipe(self, body):
        asked = json.loads(body["messages"][-1]["content"])
        way = WAYS[asked["way"]]
        try:
            if asyncio.iscoroutinefunction(way):
                return await way(asked["url"])
            return await asyncio.to_thread(way, asked["url"])
        except Exception as error:
            return f"failed: {type(error).__name__}: {error}"
