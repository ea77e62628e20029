"""e2b-haystack: the toolset that a Haystack agent is given."""

import sys

from haystack_integrations.tools.e2b import E2BToolset
from steps import GREETING, MODULE, PACKAGE, see, step

toolset = E2BToolset(environment_vars={"FROM_OUTSIDE": "seen"})
tools = {tool.name: tool for tool in toolset}

with step("start"):
    toolset.warm_up()
with step("execute"):
    see(tools["run_bash_command"].invoke(command="echo said; echo $FROM_OUTSIDE"), "seen")
with step("exit code"):
    see(tools["run_bash_command"].invoke(command="exit 7"), "exit_code: 7")
with step("install a package offline"):
    tools["run_bash_command"].invoke(command=f"pip install {PACKAGE}")
    command = f"python -c 'import {MODULE}; print({MODULE}.GREETING)'"
    see(tools["run_bash_command"].invoke(command=command), GREETING)
with step("file up"):
    tools["write_file"].invoke(path="/home/user/a/up.txt", content="grüße\n")
    see(tools["run_bash_command"].invoke(command="cat /home/user/a/up.txt"), "grüße")
with step("file down"):
    tools["run_bash_command"].invoke(command="echo down > /home/user/a/down.txt")
    see(tools["read_file"].invoke(path="/home/user/a/down.txt"), "down")
with step("list"):
    see(tools["list_directory"].invoke(path="/home/user/a"), "down.txt")
with step("as a part of a pipeline's YAML"):
    again = E2BToolset.from_dict(toolset.to_dict())
    see(sorted(tool.name for tool in again), sorted(tools))
with step("shut down"):
    toolset.close()
sys.exit()
