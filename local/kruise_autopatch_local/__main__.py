"""`python -m kruise_autopatch_local`: the local sandbox-manager on the command line."""

from __future__ import annotations

import argparse
import ipaddress
import os


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line and serve."""
    options = _parser().parse_args(arguments)
    if os.name != "posix":
        raise SystemExit("error: the local sandbox-manager needs Linux or macOS")
    try:
        from . import server
        from .control_plane.api_keys import new as new_api_key
    except ModuleNotFoundError as error:
        raise SystemExit(
            f"error: the local sandbox-manager needs the package that provides '{error.name}'.\n"
            'Install it with: pip install "kruise-autopatch[local]"'
        ) from error
    server.run(
        server.Options(
            host=options.host,
            port=options.port,
            api_key=options.api_key or os.environ.get("KRUISE_LOCAL_API_KEY") or new_api_key(),
            templates=options.template,
            e2b_domain=options.e2b_domain,
            certfile=options.certfile,
            keyfile=options.keyfile,
            request_log=options.request_log,
            token_validity=options.token_validity,
            token_leeway=options.token_leeway,
            token_outage=options.token_outage,
            exit_with_stdin=options.exit_with_stdin,
            isolation=options.isolation,
            warm=options.warm,
            persistent_contents=options.persistent_contents,
            gateway=options.gateway,
            newer=options.newer,
        )
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m kruise_autopatch_local",
        description="A local sandbox-manager that speaks OpenKruise Agents' private E2B "
        "protocol. It keeps sandboxes apart where it can, but is no boundary against hostile "
        "code.",
    )
    add = parser.add_argument
    add("--host", type=_loopback, default="127.0.0.1", help="a loopback address")
    add("--port", type=_port, default=0, help="0, the default, takes a free one")
    add(
        "--api-key",
        help="accepted raw and encoded; KRUISE_LOCAL_API_KEY sets it out of sight of other "
        "users, and without either a new one is made up",
    )
    add("--template", action="append", default=[], metavar="NAME", help="one more template")
    add("--e2b-domain", metavar="DOMAIN", help="always reply this domain, not the request's Host")
    add("--certfile", type=_file, metavar="FILE", help="serve https with this certificate")
    add("--keyfile", type=_file, metavar="FILE", help="the key, if it is not in the certfile")
    add("--request-log", metavar="FILE", help="append one JSON line for each request")
    add(
        "--token-validity",
        type=_seconds,
        default=3.1536e9,
        metavar="SECONDS",
        help="of the traffic tokens of protected sandboxes; about a hundred years by default",
    )
    add(
        "--isolation",
        choices=("auto", "namespaces", "none"),
        default="auto",
        help="give sandboxes namespaces of their own: where possible (auto, the default), "
        "or else do not start, or never",
    )
    add("--warm", type=_count, default=0, metavar="N", help="keep so many sandboxes ready")
    add(
        "--persistent-contents",
        type=_contents,
        default=(),
        metavar="WHAT",
        help="what a paused sandbox keeps: filesystem, or filesystem,memory; default: nothing",
    )
    add(
        "--gateway",
        choices=("jwt", "uuid"),
        default="jwt",
        help="the token that the data plane demands: that of protected sandboxes (jwt, the "
        "default), or on every request the sandbox's own (uuid)",
    )
    add("--newer", action="store_true", help="also serve what servers since September 2026 do")
    # For tests: seconds that an expired token still passes; and a file that, while it exists,
    # holds the answer to every request for a token.
    add("--token-leeway", type=_seconds, default=0.0, help=argparse.SUPPRESS)
    add("--token-outage", metavar="FILE", help=argparse.SUPPRESS)
    # For LocalManager: the server ends with the process that started it.
    add("--exit-with-stdin", action="store_true", help=argparse.SUPPRESS)
    return parser


def _loopback(host: str) -> str:
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host.strip("[]"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{host}' is not an IP address") from None
    if not address.is_loopback:
        raise argparse.ArgumentTypeError(
            f"'{host}' is not a loopback address. The local sandbox-manager runs any code that "
            "it is sent, as you and without isolation, so it listens to this machine only; "
            "use 127.0.0.1 or ::1"
        )
    return str(address)


def _port(port: str) -> int:
    if port.isdecimal() and int(port) < 65536:
        return int(port)
    raise argparse.ArgumentTypeError(f"'{port}' is not a port (0 to 65535)")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if 0.0 < seconds <= 1e10:
        return seconds
    raise argparse.ArgumentTypeError(f"'{text}' is not a number of seconds above 0")


def _count(text: str) -> int:
    if text.isdecimal() and int(text) <= 1000:
        return int(text)
    raise argparse.ArgumentTypeError(f"'{text}' is not a number from 0 to 1000")


def _contents(text: str) -> tuple[str, ...]:
    contents = tuple(text.split(","))
    if contents in (("filesystem",), ("filesystem", "memory")):
        return contents
    raise argparse.ArgumentTypeError(f"'{text}' is not filesystem or filesystem,memory")


def _file(path: str) -> str:
    if not os.path.isfile(path):
        raise argparse.ArgumentTypeError(f"there is no file '{path}'")
    return path


if __name__ == "__main__":
    main()
