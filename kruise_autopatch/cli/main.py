"""``kruise-autopatch``, also ``python -m kruise_autopatch``."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from collections.abc import Sequence
from typing import Callable

from kruise_autopatch._version import __version__
from kruise_autopatch.errors import ConfigurationError

# Seconds for each step on the network.
_TIMEOUT = 5.0


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, do what it says, and exit."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    # What follows the first -- is the program's, whatever this Python's argparse makes of it.
    words, rest = _split(words)
    options = _parser().parse_args(words)
    options.rest = rest
    if rest and options.command != "run":
        options.parser.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        sys.exit(options.do(options))
    except BrokenPipeError:
        # Whoever read the output has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    if "--" not in words:
        return words, []
    at = words.index("--")
    return words[:at], words[at:]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kruise-autopatch",
        description="Move E2B's Python SDK to OpenKruise Agents' private protocol.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def add(name: str, do: Callable[[argparse.Namespace], int], text: str) -> _Subparser:
        command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        command.set_defaults(do=do, parser=command)
        return command

    doctor = add("doctor", _doctor, "say whether it works here, and if not, why")
    doctor.add_argument("--json", action="store_true", help="for programs")
    doctor.add_argument("--offline", action="store_true", help="leave the network out")
    doctor.add_argument(
        "--timeout",
        type=_seconds,
        default=_TIMEOUT,
        metavar="SECONDS",
        help="for each step on the network; default 5",
    )

    run = add("run", _run, "start a program with the hook, where no .pth file is processed")
    run.usage = (
        "kruise-autopatch run [-h] [--https | --no-https] [--domain DOMAIN] [--env-file FILE]"
        " [--] PROGRAM ..."
    )
    run.add_argument(
        "--https",
        action=argparse.BooleanOptionalAction,
        help="sets KRUISE_E2B_HTTPS to 1 or 0",
    )
    run.add_argument("--domain", help="sets E2B_DOMAIN")
    run.add_argument(
        "--env-file",
        metavar="FILE",
        help="sets what a .env file has and the environment has not",
    )
    run.add_argument(
        "program", nargs=argparse.REMAINDER, metavar="PROGRAM", help="and its arguments"
    )

    urls = add("url", _convert_urls, "print the native form of private URLs, and the other way")
    urls.add_argument(
        "--https",
        action=argparse.BooleanOptionalAction,
        help="of what is printed; without it, as the URL has it",
    )
    urls.add_argument("url", nargs="+", metavar="URL")

    for name, text in (
        ("encode-key", "print an API key in the form that every release of the SDK accepts"),
        ("decode-key", "print the API key in an encoded form"),
    ):
        keys = add(name, _convert_key, text)
        keys.add_argument(
            "key",
            nargs="?",
            metavar="KEY",
            help="without it, the key is read from the standard input, where ps does not show it",
        )
    return parser


_Subparser = argparse.ArgumentParser


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if 0.0 < seconds <= 600.0:
        return seconds
    raise argparse.ArgumentTypeError(f"'{text}' is not a number of seconds from 0 to 600")


def _doctor(options: argparse.Namespace) -> int:
    from kruise_autopatch.cli import doctor
    from kruise_autopatch.cli.doctor import findings, terminal

    if hasattr(sys.stdout, "reconfigure"):
        # A log's encoding may lack some character of a certificate's name.
        sys.stdout.reconfigure(errors="replace")
    view = terminal.View.of(sys.stdout, os.environ) if sys.stdout.isatty() else None
    found = []
    for finding in doctor.examine(os.environ, offline=options.offline, timeout=options.timeout):
        found.append(finding)
        if not options.json:
            lines = view.lines(finding) if view else [findings.line(finding)]
            print("\n".join(lines), flush=True)
    if options.json:
        print(findings.as_json(found))
    else:
        print(f"\n{view.summary(found) if view else findings.counted(found)}")
    return 0 if findings.succeeded(found) else 1


def _run(options: argparse.Namespace) -> int:
    from kruise_autopatch.cli import env_file, run

    # A -- after the program's name is the program's own.
    command = [*options.program, *(options.rest if options.program else options.rest[1:])]
    if not command or not command[0]:
        options.parser.error(
            "name the program, such as: kruise-autopatch run -- python your_program.py"
        )
    if command[0].startswith("-") and not options.rest:
        options.parser.error(f"unrecognized arguments: {command[0]}")
    try:
        inherited = env_file.added(os.environ, options.env_file)
        variables = run.environment(inherited, https=options.https, domain=options.domain)
    except ConfigurationError as error:
        options.parser.error(str(error))
    try:
        run.run(command, variables)
    except run.CannotRun as error:
        print(f"{options.parser.prog}: error: {error}", file=sys.stderr)
        return error.status


def _convert_urls(options: argparse.Namespace) -> int:
    from kruise_autopatch.protocol import written

    forms = []
    for url in options.url:
        try:
            forms.append(written.other_form(url, https=options.https))
        except written.InvalidUrl as reason:
            options.parser.error(f"{url!r} {reason}.")
    print("\n".join(forms))
    return 0


def _convert_key(options: argparse.Namespace) -> int:
    from kruise_autopatch.api_keys import decode_api_key, encode_api_key, is_encoded

    convert = encode_api_key if options.command == "encode-key" else decode_api_key
    try:
        key = _typed_key() if options.key is None else options.key
        if convert is encode_api_key and is_encoded(key):
            raise ConfigurationError("The API key is encoded already; use it as it is.")
        print(convert(key))
    except ConfigurationError as error:
        options.parser.error(str(error))
    except UnicodeError:
        options.parser.error("The API key is not valid UTF-8.")
    return 0


def _typed_key() -> str:
    if sys.stdin.isatty():
        return getpass.getpass("API key: ")
    return sys.stdin.read().rstrip("\r\n")
