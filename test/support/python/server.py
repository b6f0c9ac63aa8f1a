"""A server of PyPI's `mcp`: both eras, tools that echo, wait, ask, change the list and die.

On stdio; with argument `http` over streamable HTTP on loopback, and prints its port.
"""

import os
import socket
import sys

import anyio
import mcp_types as types
import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from pydantic import BaseModel

server = MCPServer("python-calls")


class Confirmation(BaseModel):
    confirm: bool


@server.tool()
def echo(text: str) -> str:
    return text


@server.tool()
async def slow(ms: int, context: Context) -> str:
    for step in range(1, 4):
        await context.report_progress(step, 3)
        await anyio.sleep(ms / 3000)
    return f"waited {ms}"


@server.tool()
def big(bytes: int) -> str:
    return ("ä\"\\" * (bytes // 3 + 1))[:bytes]


@server.tool()
async def ask(context: Context) -> str:
    answer = await context.elicit("Sure?", Confirmation)
    return f"{answer.action} {answer.data.confirm}"


@server.tool()
async def sample(context: Context) -> str:
    message = types.SamplingMessage(role="user", content=types.TextContent(type="text", text="p"))
    result = await context.session.create_message([message], max_tokens=10)
    return f"model said {result.content.text}"


@server.tool()
async def change(context: Context) -> str:
    server.add_tool(lambda: "added", name="added", description="came later")
    await context.session.send_tool_list_changed()
    return "changed"


@server.tool()
def die() -> str:
    os._exit(7)


if sys.argv[1:] == ["http"]:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    print(listening.getsockname()[1], flush=True)
    config = uvicorn.Config(server.streamable_http_app(), log_level="critical")
    uvicorn.Server(config).run(sockets=[listening])
else:
    server.run()
