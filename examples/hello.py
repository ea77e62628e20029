from e2b_code_interpreter import Sandbox

with Sandbox.create() as sbx:
    print(sbx.run_code("sum(range(10))").text)
    sbx.files.write("/tmp/hello.txt", "hello")
    print(sbx.files.read("/tmp/hello.txt"))
    print(sbx.commands.run("uname -s").stdout)
    print(sbx.get_host(3000), sbx.download_url("/tmp/hello.txt"))
