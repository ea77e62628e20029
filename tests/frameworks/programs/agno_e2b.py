"""agno: the toolkit that an agent is given."""

import sys
import tempfile
from pathlib import Path

from agno.agent import Agent
from agno.tools.e2b import E2BTools
from steps import BINARY, GREETING, MODULE, PACKAGE, see, step

here = Path(tempfile.mkdtemp())
with step("start"):
    tools = E2BTools(timeout=300)
with step("execute"):
    see(tools.run_python_code("6 * 7"), "42")
with step("an error of the code"):
    see(tools.run_python_code("1 / 0"), "ZeroDivisionError")
with step("command"):
    see(tools.run_command("echo said; whoami"), "user")
with step("stream a command"):
    see(tools.stream_command("echo one; echo two"), "two")
with step("install a package offline"):
    tools.run_command(f"pip install {PACKAGE}")
    see(tools.run_command(f"python -c 'import {MODULE}; print({MODULE}.GREETING)'"), GREETING)
with step("install a package offline, by a cell"):
    tools.run_python_code(f"!pip install {PACKAGE}")
    see(tools.run_python_code(f"import {MODULE}\n{MODULE}.GREETING"), GREETING)
with step("file up"):
    (here / "up.bin").write_bytes(BINARY)
    see(tools.upload_file(str(here / "up.bin"), "/home/user/up.bin"), "/home/user/up.bin")
    see(tools.run_command("wc -c < /home/user/up.bin"), str(len(BINARY)))
with step("file down"):
    down = here / "down.bin"
    see(tools.download_file_from_sandbox("/home/user/up.bin", str(down)), str(down))
    assert down.read_bytes() == BINARY
with step("text files"):
    see(tools.write_file_content("/home/user/a.txt", "grüße"), "/home/user/a.txt")
    see(tools.read_file_content("/home/user/a.txt"), "grüße")
    see(tools.list_files("/home/user"), "a.txt")
with step("watch a directory"):
    see(tools.watch_directory("/home/user", 1), "/home/user")
with step("a server and its URL"):
    see(tools.run_server("python -m http.server 8765 --bind 0.0.0.0", 8765), "8765")
with step("chart"):
    code = "import matplotlib.pyplot as plt\nplt.plot([1, 2]); plt.show()"
    see(tools.run_python_code(code), "Result 1")
    see(tools.download_png_result(Agent(), 0, str(here / "chart.png")), "chart.png")
    see((here / "chart.png").read_bytes()[:4], b"\x89PNG")
with step("status"):
    see(tools.get_sandbox_status(), tools.sandbox.sandbox_id)
with step("time-out"):
    see(tools.set_sandbox_timeout(600), "600")
with step("list"):
    see(tools.list_running_sandboxes(), tools.sandbox.sandbox_id)
with step("shut down"):
    see(tools.shutdown_sandbox(), "success")
sys.exit()
