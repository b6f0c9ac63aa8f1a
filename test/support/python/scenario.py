"""What an MCP client of PyPI's `mcp` does with a server; one JSON object a line says how each step ended.

argv: a JSON object {"command": [...]} or {"url": "..."}, with "mode" (auto, legacy, 2026-07-28) and "steps".
"""

import asyncio
import json
import os
import sys
import time

import mcp_types as types
from mcp import Client, MCPError, StdioServerParameters


changed = asyncio.Event()


def say(**fields) -> None:
    print(json.dumps(fields), flush=True)


async def sampled(_context, _params):
    return types.CreateMessageResult(
        role="assistant", content=types.TextContent(type="text", text="sampled in Python"), model="none"
    )


async def elicited(_context, params):
    answers = {"confirm": True} if "confirm" in json.dumps(params.model_dump(mode="json")) else {"name": "Ada"}
    return types.ElicitResult(action="accept", content=answers)


def text(result) -> str:
    return "".join(getattr(part, "text", "") for part in result.content)


async def lists(client, _given):
    return {"tools": len((await client.list_tools()).tools)}


async def call(client, given):
    result = await client.call_tool(given["tool"], given.get("args", {}))
    return {"text": text(result)[:200], "length": len(text(result)), "isError": bool(result.is_error)}


async def many(client, given):
    names = [f"call {n} ä€😀" for n in range(given["count"])]
    results = await asyncio.gather(*(client.call_tool("echo", {given["name"]: name}) for name in names))
    return {"right": sum(name in text(result) or json.dumps(name)[1:-1] in text(result) for name, result in zip(names, results))}


async def progress(client, given):
    seen = []

    async def told(done, _total, _message):
        seen.append(done)

    await client.call_tool(given["tool"], given["args"], progress_callback=told)
    return {"progress": seen}


async def cancel(client, given):
    task = asyncio.create_task(client.call_tool(given["tool"], given["args"]))
    await asyncio.sleep(given["after"])
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return {"cancelled": True}
    return {"cancelled": False}


async def change(client, _given):
    """Has the server change its list of tools, and waits until it tells."""
    changed.clear()
    await client.call_tool("change", {})
    await asyncio.wait_for(changed.wait(), 20)
    return {"heard": True, "tools": len((await client.list_tools()).tools)}


async def timeout(client, given):
    try:
        await client.call_tool(given["tool"], given["args"], read_timeout_seconds=given["after"])
    except MCPError as error:
        return {"code": error.error.code}
    return {"code": None}


async def leave(client, given):
    """Ends this process in the middle of a call."""
    asyncio.create_task(client.call_tool(given["tool"], given["args"]))
    await asyncio.sleep(given["after"])
    say(step="leave")
    os._exit(3)


STEPS = {f.__name__: f for f in (lists, call, many, progress, cancel, change, timeout, leave)}


async def main(given) -> None:
    if "command" in given:
        command, *args = given["command"]
        server = StdioServerParameters(command=command, args=args, env=dict(os.environ))
    else:
        server = given["url"]
    changes = []

    async def heard(message):
        changes.append(type(message).__name__)
        if isinstance(message, types.ToolListChangedNotification):
            changed.set()

    async with Client(
        server,
        mode=given["mode"],
        sampling_callback=sampled,
        elicitation_callback=elicited,
        message_handler=heard,
    ) as client:
        say(step="connected", protocol=client.protocol_version)
        for step in given["steps"]:
            began = time.monotonic()
            try:
                outcome = await STEPS[step["do"]](client, step)
            except MCPError as error:
                outcome = {"code": error.error.code}
            say(step=step["do"], tool=step.get("tool"), seconds=round(time.monotonic() - began, 3), **outcome)
    say(step="closed", heard=sorted(set(changes)))


asyncio.run(main(json.loads(sys.argv[1])))
