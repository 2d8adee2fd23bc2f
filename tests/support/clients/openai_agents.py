"""A program: OpenAI's Agents SDK on a router. It asks a question whose answer needs a function, and prints the events.

Arguments: the address, and the texts to send, one after another. It ends when the last one is answered.
"""

import asyncio
import json
import sys

from agents import function_tool
from agents.realtime import RealtimeAgent, RealtimeRunner


@function_tool
def get_weather() -> str:
    """Tell the weather."""
    show({"type": "called"})
    return "It is sunny in Paris."


def show(event) -> None:
    """Print an event."""
    print(json.dumps(event), flush=True)


async def converse(address: str, texts: list[str]) -> None:
    """Send each text, and wait for the answer."""
    agent = RealtimeAgent(name="guide", instructions="Be brief.", tools=[get_weather])
    runner = RealtimeRunner(agent)
    config = {"url": f"ws://{address}/v1/realtime?model=gpt-realtime", "api_key": "sk-of-the-client-0123456789"}
    async with await runner.run(model_config=config) as session:
        for text in texts:
            await session.send_message(text)
            async for event in session:
                if event.type == "raw_model_event" and event.data.type == "raw_server_event":
                    show(event.data.data)
                elif event.type in ("error", "agent_end", "tool_end"):
                    show({"type": event.type, "problem": str(getattr(event, "error", ""))})
                if event.type == "error" or is_answered(event):
                    break
        show({"type": "history", "items": [item.model_dump(mode="json") for item in session._history]})


def is_answered(event) -> bool:
    """Whether the event ends a complete response with words, which is the answer."""
    if event.type != "raw_model_event" or event.data.type != "raw_server_event":
        return False
    data = event.data.data
    if data.get("type") != "response.done" or data["response"]["status"] != "completed":
        return False
    return any(item["type"] == "message" for item in data["response"]["output"])


if __name__ == "__main__":
    asyncio.run(asyncio.wait_for(converse(sys.argv[1], sys.argv[2:]), 60))
