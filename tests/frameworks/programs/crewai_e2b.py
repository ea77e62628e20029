"""crewai-tools: its three E2B tools, as a crew's agent calls them."""

import base64
import sys

from crewai_tools import E2BExecTool, E2BFileTool, E2BPythonTool
from steps import BINARY, GREETING, MODULE, PACKAGE, see, step

with step("a sandbox for one call"):
    see(E2BExecTool().run(command="echo said")["stdout"], "said")

shell = E2BExecTool(persistent=True)
with step("start"):
    see(shell.run(command="echo said")["stdout"], "said")
sandbox_id = shell._persistent_sandbox.sandbox_id
files, cells = E2BFileTool(sandbox_id=sandbox_id), E2BPythonTool(sandbox_id=sandbox_id)

with step("execute"):
    see(cells.run(code="print('said'); 6 * 7")["text"], "42")
with step("state is kept"):
    cells.run(code="number = 41")
    see(cells.run(code="number + 1")["text"], "42")
with step("an error of the code"):
    see(cells.run(code="1 / 0")["error"], "ZeroDivisionError")
with step("install a package offline"):
    shell.run(command=f"pip install {PACKAGE}")
    script = f"python -c 'import {MODULE}; print({MODULE}.GREETING)'"
    see(shell.run(command=script)["stdout"], GREETING)
with step("file up"):
    content = base64.b64encode(BINARY).decode()
    files.run(action="write", path="/home/user/up.bin", content=content, binary=True)
    see(shell.run(command="wc -c < /home/user/up.bin")["stdout"], str(len(BINARY)))
with step("file down"):
    found = files.run(action="read", path="/home/user/up.bin", binary=True)
    see(str(found).replace("\\n", ""), content[-100:])
with step("the other actions"):
    files.run(action="mkdir", path="/home/user/a")
    files.run(action="write", path="/home/user/a/b.txt", content="one")
    see(files.run(action="read", path="/home/user/a/b.txt"), "one")
    see(files.run(action="list", path="/home/user/a"), "b.txt")
    see(files.run(action="info", path="/home/user/a/b.txt"), "b.txt")
    files.run(action="delete", path="/home/user/a/b.txt")
    see(files.run(action="exists", path="/home/user/a/b.txt")["exists"], False)
with step("append"):
    files.run(action="write", path="/home/user/a/c.txt", content="one")
    files.run(action="append", path="/home/user/a/c.txt", content="two")
    see(files.run(action="read", path="/home/user/a/c.txt"), "onetwo")
with step("shut down"):
    shell.close()
sys.exit()
