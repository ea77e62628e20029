from e2b_code_interpreter import Sandbox


def test_my_agent(kruise_autopatch):
    with Sandbox.create() as sandbox:
        assert sandbox.commands.run("echo hello").stdout == "hello\n"
