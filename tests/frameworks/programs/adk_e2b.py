"""e2b-adk: the plugin of Google's Agent Development Kit, its tools called as ADK does."""

import asyncio
from typing import Any

from e2b_adk import E2BPlugin
from steps import GREETING, MODULE, PACKAGE, see, step


async def main() -> None:
    plugin = E2BPlugin(timeout=300, envs={"FROM_OUTSIDE": "seen"})
    tools = {tool.name: tool for tool in plugin.get_tools()}

    async def call(name: str, **arguments: Any) -> Any:
        return await tools[name].run_async(args=arguments, tool_context=None)

    with step("start"):
        see((await call("run_command", command="echo said"))["success"], True)
    with step("execute"):
        see(await call("run_code", code="print('said'); 6 * 7"), "42")
    with step("an error of the code"):
        see(await call("run_code", code="1 / 0"), "ZeroDivisionError")
    with step("command"):
        see(await call("run_command", command="echo $FROM_OUTSIDE; exit 7"), "seen")
        see((await call("run_command", command="exit 7"))["exit_code"], 7)
    with step("install a package offline"):
        await call("run_command", command=f"pip install {PACKAGE}")
        script = f"python -c 'import {MODULE}; print({MODULE}.GREETING)'"
        see(await call("run_command", command=script), GREETING)
    with step("file up"):
        await call("write_file", path="/home/user/up.txt", content="grüße\n")
        see(await call("run_command", command="cat /home/user/up.txt"), "grüße")
    with step("file down"):
        await call("run_command", command="echo down > /home/user/down.txt")
        see(await call("read_file", path="/home/user/down.txt"), "down")
    with step("list"):
        see(await call("list_files", path="/home/user"), "down.txt")
    with step("a server and its URL"):
        served = "python -m http.server 8767 --bind 0.0.0.0"
        see(await call("start_background_command", command=served, port=8767), "8767")
    with step("shut down"):
        await plugin.close()


asyncio.run(main())
