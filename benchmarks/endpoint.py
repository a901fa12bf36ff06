"""An OpenAI-compatible endpoint whose answers are a pure function of the question, each after a fixed time.

python benchmarks/endpoint.py [--port 8900] [--latency 0.05]

Four models: bench-seeker, bench-supporter, bench-strategist, bench-judge. GET /calls tells how many were answered.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
from typing import Any

from cso.llm.chat import Message, Request
from cso.llm.scripted import ScriptedChat

LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
ROLES = {f"bench-{role}": ScriptedChat(role=role) for role in ("seeker", "supporter", "strategist", "judge")}


def answer(body: dict[str, Any]) -> bytes:
    request = Request(
        model=body["model"],
        messages=tuple(Message(message["role"], message["content"]) for message in body["messages"]),
        temperature=0.0,
        max_tokens=1024,
        schema=body.get("response_format", {}).get("json_schema", {}).get("schema"),
        sample=body.get("seed", 0),
    )
    text = ROLES[request.model].answer(request)
    into, out = sum(len(message.content) // 4 for message in request.messages), len(text) // 4
    content = {
        "id": "bench",
        "object": "chat.completion",
        "created": 0,
        "model": request.model,
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": into, "completion_tokens": out, "total_tokens": into + out},
    }
    return json.dumps(content).encode()


class Endpoint:
    def __init__(self, latency: float) -> None:
        self.latency = latency
        self.calls = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = LENGTH.search(head)
                body = await reader.readexactly(int(length[1]) if length else 0)
                content = json.dumps({"calls": self.calls}).encode()
                if not head.startswith(b"GET"):
                    await asyncio.sleep(self.latency)
                    self.calls += 1
                    content = answer(json.loads(body))
                writer.write(HEAD % len(content) + content)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def main(port: int, latency: float) -> None:
    server = await asyncio.start_server(Endpoint(latency).serve, "127.0.0.1", port, backlog=1024)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8900)
    parser.add_argument("--latency", type=float, default=0.05)
    arguments = parser.parse_args()
    asyncio.run(main(arguments.port, arguments.latency))
