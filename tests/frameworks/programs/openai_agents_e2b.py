"""openai-agents: the sandbox client of its E2B extension."""

import asyncio
import io
from pathlib import Path

from agents.extensions.sandbox.e2b import E2BSandboxClient, E2BSandboxClientOptions
from steps import BINARY, GREETING, MODULE, PACKAGE, see, step


async def main(sandbox_type: str) -> None:
    client = E2BSandboxClient()
    with step(f"{sandbox_type}: start"):
        options = E2BSandboxClientOptions(
            sandbox_type=sandbox_type, timeout=300, exposed_ports=(8766,)
        )
        session = await client.create(options=options)
        await session.start()
    with step(f"{sandbox_type}: execute"):
        see((await session.exec("echo said; pwd")).stdout.decode(), "/workspace")
    with step(f"{sandbox_type}: exit code"):
        see((await session.exec("exit 7")).exit_code, 7)
    with step(f"{sandbox_type}: install a package offline"):
        await session.exec(f"pip install {PACKAGE}")
        script = f"python -c 'import {MODULE}; print({MODULE}.GREETING)'"
        see((await session.exec(script)).stdout.decode(), GREETING)
    with step(f"{sandbox_type}: file up"):
        await session.write(Path("up.bin"), io.BytesIO(BINARY))
        see((await session.exec("wc -c < up.bin")).stdout.decode(), str(len(BINARY)))
    with step(f"{sandbox_type}: file down"):
        await session.exec("cp up.bin down.bin")
        assert (await session.read(Path("down.bin"))).read() == BINARY
    with step(f"{sandbox_type}: directory"):
        await session.mkdir("a/b", parents=True)
        see((await session.exec("ls -d a/b")).stdout.decode(), "a/b")
    with step(f"{sandbox_type}: terminal"):
        begun = await session.pty_exec_start("cat", tty=True, yield_time_s=1)
        told = await session.pty_write_stdin(
            session_id=begun.process_id, chars="typed\n", yield_time_s=2
        )
        see(told.output.decode(), "typed")
        await session.pty_terminate_all()
    with step(f"{sandbox_type}: a port's address"):
        see((await session.resolve_exposed_port(8766)).host, "127.0.0.1")
    with step(f"{sandbox_type}: keep the workspace, and go on from it"):
        kept = await session.persist_workspace()
        await session.exec("rm up.bin")
        await session.hydrate_workspace(kept)
        see((await session.exec("wc -c < up.bin")).stdout.decode(), str(len(BINARY)))
    with step(f"{sandbox_type}: shut down"):
        await session.aclose()


asyncio.run(main("e2b"))
asyncio.run(main("e2b_code_interpreter"))
