"""An MCP client in Python whose calls are on record: a server on stdio through the tap, one on HTTP through the gate.

    pip install "mcp>=2"
    python agent.py stdio npx -y @modelcontextprotocol/server-filesystem .
    python agent.py http http://127.0.0.1:8750/vault
"""

import asyncio
import os
import sys

from mcp import Client, StdioServerParameters


def through_tap(name: str, command: list[str]) -> StdioServerParameters:
    """The command of a server behind the tap. The SDK starts servers with a bare environment, so TRIPLINE_* go along."""
    own = {key: value for key, value in os.environ.items() if key.startswith("TRIPLINE_")}
    tap = ["tap", "--server", name, "--agent", "python-bot", "--", *command]
    return StdioServerParameters(command="tripline", args=tap, env=own)


async def main(kind: str, *target: str) -> None:
    server = through_tap("files", list(target)) if kind == "stdio" else target[0]
    async with Client(server) as client:
        tools = await client.list_tools()
        print("tools:", ", ".join(tool.name for tool in tools.tools))
        if any(tool.name == "echo" for tool in tools.tools):
            answer = await client.call_tool("echo", {"message": "hello"})
            print("answer:", answer.content[0].text)


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in ("stdio", "http"):
        sys.exit(__doc__)
    asyncio.run(main(*sys.argv[1:]))
