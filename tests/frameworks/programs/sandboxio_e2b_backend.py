"""sandboxio-e2b: the E2B backend of sandboxio."""

import asyncio
import tempfile
from pathlib import Path

import sandboxio
from steps import BINARY, GREETING, MODULE, PACKAGE, see, step


async def main() -> None:
    here = Path(tempfile.mkdtemp())
    (here / "up.bin").write_bytes(BINARY)
    with step("start"):
        sandbox = await sandboxio.create("e2b://", timeout=300, env={"FROM_OUTSIDE": "seen"})
    with step("execute"):
        see((await sandbox.run("echo said; echo $FROM_OUTSIDE")).stdout, "seen")
    with step("exit code"):
        see((await sandbox.run("exit 7")).exit_code, 7)
    with step("a list of arguments"):
        see((await sandbox.run(["echo", "$HOME", "a  b"])).stdout, "$HOME a  b")
    with step("code"):
        see(await sandbox.run_code("print('said'); 6 * 7"), "42")
    with step("stream"):
        async with sandbox.stream("echo one; echo two") as process:
            chunks = [chunk async for chunk in process]
        see(chunks, "two")
    with step("install a package offline"):
        await sandbox.run(f"pip install {PACKAGE}")
        script = f"python -c 'import {MODULE}; print({MODULE}.GREETING)'"
        see((await sandbox.run(script)).stdout, GREETING)
    with step("file up"):
        await sandbox.files.upload(here / "up.bin", "/home/user/up.bin")
        see((await sandbox.run("wc -c < /home/user/up.bin")).stdout, str(len(BINARY)))
    with step("file down"):
        await sandbox.files.download("/home/user/up.bin", here / "down.bin")
        assert (here / "down.bin").read_bytes() == BINARY
    with step("directories"):
        await sandbox.files.mkdir("/home/user/a/b", parents=True)
        await sandbox.files.write("/home/user/a/b/c.txt", "text")
        see(await sandbox.files.ls("/home/user/a/b"), "c.txt")
        await sandbox.files.remove("/home/user/a/b/c.txt")
    with step("time-out of a command"):
        try:
            await sandbox.run("sleep 60", timeout=2)
        except sandboxio.ExecutionTimeout as error:
            see(type(error).__name__, "ExecutionTimeout")
        else:
            raise AssertionError("it took no notice")
    with step("connect again"):
        again = await sandboxio.connect("e2b://", sandbox.id)
        see((await again.run("ls /home/user")).stdout, "up.bin")
    with step("shut down"):
        await sandbox.kill()


asyncio.run(main())
