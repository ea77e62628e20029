"""langchain-e2b: the sandbox backend of Deep Agents, sync and async."""

import asyncio

from e2b import AsyncSandbox, Sandbox
from langchain_e2b import AsyncE2BSandbox, E2BSandbox
from steps import BINARY, GREETING, MODULE, PACKAGE, see, step

PYTHON = f"python -c 'import {MODULE}; print({MODULE}.GREETING)'"


def sync() -> None:
    with step("start"):
        made = Sandbox.create(timeout=300)
        sandbox = E2BSandbox(sandbox=made)
    with step("execute"):
        see(sandbox.execute("echo said; pwd").output, "/home/user")
    with step("exit code"):
        see(sandbox.execute("exit 7").exit_code, 7)
    with step("install a package offline"):
        sandbox.execute(f"pip install {PACKAGE}")
        see(sandbox.execute(PYTHON).output, GREETING)
    with step("file up"):
        see(sandbox.upload_files([("/home/user/up.bin", BINARY)])[0].error, None)
        see(sandbox.execute("wc -c < up.bin").output, str(len(BINARY)))
    with step("file down"):
        assert sandbox.download_files(["/home/user/up.bin"])[0].content == BINARY
    with step("missing file"):
        see(sandbox.download_files(["/home/user/missing"])[0].error, "file_not_found")
    with step("the agent's own file tools"):
        see(sandbox.write("/home/user/a.txt", "one\ntwo\n").error, None)
        see(sandbox.edit("/home/user/a.txt", "two", "three").error, None)
        see(sandbox.read("/home/user/a.txt"), "three")
        see(sandbox.ls("/home/user"), "a.txt")
        see(sandbox.grep("three", "/home/user"), "a.txt")
        see(sandbox.glob("*.txt", "/home/user"), "a.txt")
    with step("connect again"):
        again = E2BSandbox(sandbox=Sandbox.connect(sandbox.id))
        see(again.execute("cat a.txt").output, "three")
    with step("shut down"):
        assert made.kill()


async def not_sync() -> None:
    with step("async: start"):
        made = await AsyncSandbox.create(timeout=300)
        sandbox = AsyncE2BSandbox(sandbox=made)
    with step("async: execute"):
        see((await sandbox.aexecute("echo said; pwd")).output, "/home/user")
    with step("async: file up"):
        replies = await sandbox.aupload_files([("/home/user/up.bin", BINARY)])
        see(replies[0].error, None)
    with step("async: file down"):
        found = await sandbox.adownload_files(["/home/user/up.bin"])
        assert found[0].content == BINARY
    with step("async: shut down"):
        assert await made.kill()


sync()
asyncio.run(not_sync())
