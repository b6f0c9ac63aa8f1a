"""A server of PyPI's `mcp` on stdio: both eras, tools that echo, wait, ask and die."""

import os

import anyio
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
def die() -> str:
    os._exit(7)


server.run()
