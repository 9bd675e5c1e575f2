"""The `gateway` command line: reads arguments and hands over; no logic."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from gateway import __version__
from gateway.errors import ConfigError, GatewayError

EX_CONFIG = 78  # sysexits.h

# Commands are imported only when they run: `--help` needs neither SIP library nor models.


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit code: 0 done, 1 failed, 2 wrong usage, 78 wrong configuration, 130 interrupted.
    """
    args = _parser().parse_args(argv)
    try:
        code: int = args.command(args)
        sys.stdout.flush()
    except ConfigError as error:
        _complain(str(error))
        return EX_CONFIG
    except GatewayError as error:
        _complain(f"gateway: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader went away (`| head`); keep the interpreter from flushing into the void.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def run_process() -> NoReturn:
    """Run `main` and end this process with its code.

    The interpreter is not torn down: threads of obstore may be about to call into it, which
    aborted one process in four (PyO3/pyo3-async-runtimes, issue 40).  Whatever must happen at the
    end is done by its owner before `main` returns.
    """
    code = main()
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gateway",
        description="Give a phone number to an AI agent on this machine.",
        epilog="Begin with `gateway demo`.  Each command has --help.  Exit codes: 0 done, 1 failed,"
        " 2 wrong arguments, 78 wrong configuration.",
    )
    parser.add_argument("--version", action="version", version=f"gateway {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    run = _command(commands, "run", "serve calls")
    _add_config(run)
    run.set_defaults(command=_run)

    check = _command(commands, "check", "check configuration, dialplan, tools and engines")
    _add_config(check)
    check.set_defaults(command=_check)

    demo = _command(commands, "demo", "make a real SIP call to itself and time it")
    demo.add_argument(
        "--record-dir",
        type=Path,
        default=Path("calls"),
        help="folder for the record of the call (default: calls)",
    )
    demo.add_argument("--port", type=_port, default=0, help="SIP port (default: a free one)")
    demo.set_defaults(command=_demo)

    call = _command(commands, "call", "have the running gateway place a call")
    call.add_argument("to", metavar="TO", help="sip:USER@HOST, or a number with --trunk")
    call.add_argument("--agent", default="", help="name of the agent (default: the default agent)")
    call.add_argument(
        "--trunk",
        default="",
        help="name of the trunk to call over (default: straight to the address)",
    )
    _add_config(call)
    call.set_defaults(command=_call)

    settings = _command(commands, "settings", "change settings of a call in progress")
    settings.add_argument("call_id", metavar="CALL", help="id of the call")
    settings.add_argument(
        "changes",
        nargs="+",
        metavar="KEY=VALUE",
        help="a setting of the agent, such as tts.rate=0.8 or turn.eagerness=low",
    )
    _add_config(settings)
    settings.set_defaults(command=_settings)

    key = _command(commands, "key", "make an API key")
    actions = key.add_subparsers(metavar="ACTION", required=True)
    _command(actions, "new", "print a new key and its hash").set_defaults(command=_key_new)

    say = _command(commands, "say", "write how an agent would say a text as a WAV file")
    say.add_argument("text", metavar="TEXT", help="what to say, as a model would write it")
    say.add_argument("--agent", default="", help="whose voice (default: the default agent)")
    say.add_argument(
        "--out",
        type=Path,
        default=Path("say.wav"),
        metavar="FILE.wav",
        help="file to write (default: say.wav here)",
    )
    say.add_argument("--wide", action="store_true", help="16 kHz, as on a line with G.722")
    _add_config(say)
    say.set_defaults(command=_say)

    providers = _command(commands, "providers", "list engines and what each needs on this machine")
    providers.set_defaults(command=_providers)

    _add_models(commands)
    _add_load(commands)
    _add_doctor(commands)
    _add_records(commands)
    _add_report(commands)
    _add_edge(commands)
    _add_replay(commands)
    _add_route_test(commands)
    _add_worker(commands)
    return parser


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str
) -> argparse.ArgumentParser:
    """Add a command; its own help begins with the text that lists show."""
    return commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")


def _add_doctor(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    doctor = _command(commands, "doctor", "examine this deployment; name causes and fixes")
    doctor.add_argument("--json", action="store_true", help="print findings as one JSON object")
    doctor.add_argument(
        "--call",
        default="",
        metavar="URI",
        help="make the test call to this SIP URI, such as sip:YOUR-NUMBER@YOUR-TRUNK"
        " (default: straight to the running gateway's port)",
    )
    doctor.add_argument("--no-call", action="store_true", help="make no test call")
    doctor.add_argument(
        "--quick", action="store_true", help="ask no engine (some cost money) and make no call"
    )
    _add_config(doctor)
    doctor.set_defaults(command=_doctor)


def _add_route_test(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
) -> None:
    test = _command(commands, "route-test", "show which dialplan rule a call matches")
    test.add_argument("--to", required=True, metavar="NUMBER", help="number that is called")
    test.add_argument(
        "--from", required=True, dest="caller", metavar="NUMBER", help="number of the caller"
    )
    test.add_argument(
        "--trunk", default="", help="name of the trunk that it comes over (default: none)"
    )
    test.add_argument(
        "--header",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="SIP header (repeatable)",
    )
    _add_config(test)
    test.set_defaults(command=_route_test)


def _add_records(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    records = _command(commands, "records", "rebuild the call database, fetch recordings")
    acts = records.add_subparsers(title="commands", metavar="COMMAND", required=True)
    reindex = _command(acts, "reindex", "write the call database anew from the folders of calls")
    _add_config(reindex)
    reindex.set_defaults(command=_reindex)
    fetch = _command(acts, "fetch", "copy a call's folder from the object store")
    fetch.add_argument("call_id", metavar="CALL", help="id of the call")
    fetch.add_argument("--to", type=Path, default=Path(), metavar="FOLDER", help="default: here")
    _add_config(fetch)
    fetch.set_defaults(command=_fetch)


def _add_models(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    models = _command(commands, "models", "list and fetch models of offline engines")
    acts = models.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _command(acts, "list", "list the catalogue").set_defaults(command=_models_list)
    get = _command(acts, "get", "fetch a model, verified; run it again to go on")
    get.add_argument("name", metavar="NAME", help="as in the list")
    get.add_argument("--accept", action="store_true", help="accept its licence")
    get.add_argument(
        "--from",
        type=Path,
        dest="source",
        metavar="FOLDER|FILE",
        help="take its files from here, not from the network",
    )
    get.add_argument(
        "--trust-first",
        action="store_true",
        help="take files whose checksum the catalogue does not know, and record it",
    )
    get.set_defaults(command=_models_get)
    path = _command(acts, "path", "print the folder of models, or of one")
    path.add_argument("name", nargs="?", default="", metavar="NAME", help="default: of all")
    path.set_defaults(command=_models_path)


def _add_report(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    report = _command(commands, "report", "compare the variants of a split by their calls")
    report.add_argument(
        "--days", type=float, default=30.0, help="calls of the last days (default: 30)"
    )
    report.add_argument("--agent", default="", help="calls of one agent only")
    report.add_argument("--router", default="", help="sides of one router only (default: of all)")
    report.add_argument(
        "--format", default="text", choices=("text", "csv", "json"), help="default: text"
    )
    _add_config(report)
    report.set_defaults(command=_report)


def _add_edge(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    edge = _command(commands, "edge", "write and check the files of Kamailio, the edge")
    actions = edge.add_subparsers(title="actions", metavar="ACTION", required=True)
    render = _command(actions, "render", "write Kamailio's files into a folder and check them")
    render.add_argument(
        "--into", type=Path, metavar="FOLDER", help="where to (default: edge.directory)"
    )
    _add_config(render)
    render.set_defaults(command=_edge_render)


def _add_replay(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    replay = _command(commands, "replay", "run recorded calls through turn taking again")
    replay.add_argument("bundles", type=Path, nargs="+", metavar="BUNDLE", help="folder of a call")
    replay.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a turn setting and show what would have been different (repeatable)",
    )
    replay.add_argument("--plot", type=Path, metavar="FILE.svg", help="draw the call")
    replay.add_argument(
        "--recognize",
        action="store_true",
        help="run the recognizer where the call has no transcript that fits the changed settings",
    )
    replay.add_argument(
        "--accept", action="store_true", help="store the present decisions as the expected ones"
    )
    replay.add_argument("--decisions", action="store_true", help="print every decision")
    _add_config(replay)
    replay.set_defaults(command=_replay)


def _add_load(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    load = _command(commands, "load", "find out how many calls a gateway carries")
    importlib.import_module("gateway.cli.load_arguments").add_arguments(load)
    load.set_defaults(command=_load)


def _add_worker(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    for name, program in (("worker", "sip_main"), ("realtime-worker", "realtime_main")):
        worker = commands.add_parser(name)  # no help: started by `run` only
        worker.add_argument("--socket", type=Path, required=True)
        worker.add_argument("--setup", type=Path, required=True)
        worker.add_argument("--index", type=int, required=True)
        worker.add_argument("--sip-port", type=int, required=True)
        worker.add_argument("--rtp-ports", type=int, nargs=2, required=True)
        worker.set_defaults(command=_worker, program=program)


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="configuration (default: gateway.toml in this folder; without one, an offline agent)",
    )


def _run(args: argparse.Namespace) -> int:
    return _hand_over("gateway.process.supervisor", _config(args))


def _worker(args: argparse.Namespace) -> int:
    assignments = importlib.import_module("gateway.config.port_assignment")
    assignment = assignments.PortAssignment(args.index, args.sip_port, tuple(args.rtp_ports))
    return _hand_over(f"gateway.process.{args.program}", args.socket, assignment, args.setup)


def _models_list(_args: argparse.Namespace) -> int:
    code: int = importlib.import_module("gateway.cli.models").run_list()
    return code


def _models_get(args: argparse.Namespace) -> int:
    models = importlib.import_module("gateway.cli.models")
    code: int = models.run_get(
        args.name, args.source, accept=args.accept, trust_first=args.trust_first
    )
    return code


def _models_path(args: argparse.Namespace) -> int:
    code: int = importlib.import_module("gateway.cli.models").run_path(args.name)
    return code


def _check(args: argparse.Namespace) -> int:
    return _hand_over("gateway.cli.check", _config(args))


def _demo(args: argparse.Namespace) -> int:
    return _hand_over("gateway.demo", args)


def _call(args: argparse.Namespace) -> int:
    return _hand_over("gateway.cli.call", _config(args), args.to, args.agent, args.trunk)


def _settings(args: argparse.Namespace) -> int:
    return _hand_over("gateway.cli.settings", _config(args), args.call_id, args.changes)


def _say(args: argparse.Namespace) -> int:
    module = importlib.import_module("gateway.cli.say")
    code: int = module.run(_config(args), args.text, args.agent, args.out, is_wide=args.wide)
    return code


def _key_new(_args: argparse.Namespace) -> int:
    return _hand_over("gateway.cli.key")


def _doctor(args: argparse.Namespace) -> int:
    args.config = _config(args)
    return _hand_over("gateway.cli.doctor", args)


def _edge_render(args: argparse.Namespace) -> int:
    return _hand_over("gateway.cli.edge", _config(args), args.into)


def _providers(_args: argparse.Namespace) -> int:
    return _hand_over("gateway.cli.providers")


def _route_test(args: argparse.Namespace) -> int:
    return _hand_over(
        "gateway.cli.route_test", _config(args), args.to, args.caller, args.trunk, args.header
    )


def _reindex(args: argparse.Namespace) -> int:
    return _hand_over("gateway.cli.records", _config(args))


def _fetch(args: argparse.Namespace) -> int:
    return _hand_over("gateway.cli.records", _config(args), args.call_id, args.to)


def _report(args: argparse.Namespace) -> int:
    module = importlib.import_module("gateway.cli.report")
    wanted = module.Wanted(args.days, args.agent, args.router, args.format)
    return _hand_over("gateway.cli.report", _config(args), wanted)


def _replay(args: argparse.Namespace) -> int:
    args.config = _config(args)
    return _hand_over("gateway.cli.replay", args)


def _load(args: argparse.Namespace) -> int:
    return _hand_over("gateway.cli.load", args)


def _config(args: argparse.Namespace) -> Path | None:
    path: Path | None = importlib.import_module("gateway.setup.loader").find_config(args.config)
    return path


def _hand_over(module: str, *arguments: object) -> int:
    """Call the `run` of a module."""
    code: int = importlib.import_module(module).run(*arguments)
    return code


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"must be 0 to 65535, not {text}")
    return int(text)


def _complain(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    run_process()
