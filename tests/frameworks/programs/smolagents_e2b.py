"""smolagents: the executor that a CodeAgent with executor_type="e2b" uses."""

import sys

from smolagents.monitoring import AgentLogger, LogLevel
from smolagents.remote_executors import E2BExecutor
from steps import BINARY, GREETING, MODULE, PACKAGE, see, step

logger = AgentLogger(level=LogLevel.OFF)

with step("start"):
    executor = E2BExecutor([], logger)
with step("execute"):
    see(executor("print('said'); 6 * 7").output, "42")
with step("execute"):
    see(executor("print('said')").logs, "said")
with step("state is kept"):
    executor.send_variables({"number": 41})
    see(executor("number + 1").output, "42")
with step("an error of the code"):
    try:
        executor("1 / 0")
    except Exception as error:
        see(error, "ZeroDivisionError")
    else:
        raise AssertionError("nothing was raised")
with step("final answer"):
    executor.send_tools({})
    see(executor("'an answer'").output, "an answer")
with step("install a package offline"):
    executor.install_packages([PACKAGE])
    see(executor(f"import {MODULE}; {MODULE}.GREETING").output, GREETING)
with step("file up"):
    executor.sandbox.files.write("/home/user/up.bin", BINARY)
    see(executor("len(open('/home/user/up.bin', 'rb').read())").output, str(len(BINARY)))
with step("file down"):
    executor("open('/home/user/down.bin', 'wb').write(bytes(range(256)) * 1024)")
    assert executor.sandbox.files.read("/home/user/down.bin", format="bytes") == BINARY
with step("picture"):
    code = "from PIL import Image; Image.new('RGB', (8, 8))"
    see(executor(code).output.size, (8, 8))
with step("shut down"):
    executor.cleanup()
sys.exit()
