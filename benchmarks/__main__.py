"""The command ``python -m benchmarks``: see :func:`main`."""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.loads import EXTRA, LOADS
from benchmarks.plot import draw
from benchmarks.programs import ProgramFailed, find_program
from benchmarks.results import GATES, GOALS, Results, as_csv, as_json, table, verdicts
from benchmarks.services import Services, start_services
from benchmarks.subjects import Stage, Subject, available_subjects

ROUNDS = 3
SECONDS = 5.0
BUSY_LOAD = 0.5
"""Load average before the first round above which figures are doubtful."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs rounds in which every subject takes its turn; writes JSON, a table, verdicts and a picture.

    The exit code is 1 when a subject failed under a load.
    """
    subjects = available_subjects()
    options = _parser(subjects).parse_args(arguments)
    chosen = [subject for subject in subjects if _wanted(subject, options.only)]
    loads = [load for load in LOADS.values() if load.name in options.loads]
    if not chosen:
        print(
            f"no such subject; there are {', '.join(subject.name for subject in subjects)}", file=sys.stderr
        )
        return 2
    missing = [name for name in ("iperf3", "nginx", "wrk") if not find_program(name)]
    if missing:
        print(f"not installed: {', '.join(missing)}", file=sys.stderr)
        return 2
    options.out.mkdir(parents=True, exist_ok=True)
    machine = _machine()
    if os.getloadavg()[0] > BUSY_LOAD:
        print("WARNING: this machine is busy with other things; the figures will say little", file=sys.stderr)
    titles = {subject.name: subject.title for subject in chosen}
    results, failures = Results(), 0
    # Whoever ends a run ends its programs, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with tempfile.TemporaryDirectory(prefix="relaykit-benchmark-") as directory:
        services = start_services(Path(directory))
        try:
            for number in range(options.rounds):
                # Each round begins with another subject, so that none is always first.
                turn = number % len(chosen)
                for subject in (*chosen[turn:], *chosen[:turn]):
                    place = Path(directory, f"{number}-{subject.name}")
                    place.mkdir()
                    names = [load.name for load in loads]
                    if "churn" in names and (
                        number < options.rounds - 1 or not subject.name.startswith("relaykit")
                    ):
                        names.remove("churn")
                    for stage in Stage:
                        some = [name for name in names if LOADS[name].stage is stage]
                        if some and stage in subject.stages:
                            failures += _turn(subject, place, services, stage, some, options.seconds, results)
        finally:
            services.stop()
    judged = "\n".join(
        [
            "Gates (ratios of medians of this run; in brackets what no relay at all would reach):",
            *verdicts(results, GATES),
            "",
            "Goals:",
            *verdicts(results, GOALS),
            "",
        ]
    )
    print(f"\n{table(results, titles)}\n\n{judged}")
    versions = {subject.name: subject.version for subject in chosen if subject.version}
    report = as_json(results, machine | {"rounds": options.rounds, "seconds": options.seconds}, versions)
    (options.out / "results.json").write_text(json.dumps(report, indent=1) + "\n")
    (options.out / "results.csv").write_text(as_csv(results, titles))
    (options.out / "verdicts.txt").write_text(judged)
    (options.out / "results.svg").write_text(draw(results, titles))
    print(f"written to {options.out}: results.json, results.csv, results.svg, verdicts.txt")
    return 1 if failures else 0


def _turn(
    subject: Subject,
    place: Path,
    services: Services,
    stage: Stage,
    loads: list[str],
    seconds: float,
    results: Results,
) -> int:
    failures = 0
    try:
        running = subject.start(place, services, stage)
    except ProgramFailed as error:
        print(f"{subject.title}: does not start: {error}", file=sys.stderr)
        return 1
    try:
        if running.first_byte_ms is not None and stage is Stage.STREAMS:
            results.add(subject.name, {"first-byte": running.first_byte_ms})
        for name in loads:
            try:
                figures = LOADS[name].run(running, services, seconds)
            except (ProgramFailed, OSError) as error:
                print(f"{subject.title}, {name}: {error}", file=sys.stderr)
                failures += 1
                continue
            results.add(subject.name, figures)
            shown = "  ".join(f"{measure} {value:.4g}" for measure, value in figures.items())
            print(f"{subject.title:18} {shown}", flush=True)
    except (ProgramFailed, OSError) as error:
        print(f"{subject.title}: {error}", file=sys.stderr)
        failures += 1
    finally:
        running.stop()
    return failures


def _load_names(text: str) -> list[str]:
    names = text.split(",")
    unknown = [name for name in names if name not in LOADS]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"there is no load {', '.join(unknown)}; there are {', '.join(LOADS)}"
        )
    return names


def _wanted(subject: Subject, only: Sequence[str]) -> bool:
    return not only or any(subject.name == name or subject.name.startswith(f"{name}-") for name in only)


def _machine() -> dict[str, object]:
    model = ""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
        "processor": model,
        "processors": len(os.sched_getaffinity(0)),
        "load before": round(os.getloadavg()[0], 2),
    }


def _parser(subjects: Sequence[Subject]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Compares relaykit with the direct loopback, frp and rathole on this machine.",
        epilog=(
            "Peers are found on PATH, or in the directories RELAYKIT_FRP_BIN and RELAYKIT_RATHOLE_BIN. "
            f"Found: {', '.join(subject.name for subject in subjects)}."
        ),
    )
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, help="turns of each subject (default: %(default)s)"
    )
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help="length of a timed load (default: %(default)s)"
    )
    parser.add_argument(
        "--only", action="append", default=[], metavar="SUBJECT", help="a subject, or all of one program"
    )
    parser.add_argument(
        "--loads",
        type=_load_names,
        default=[name for name in LOADS if name not in EXTRA],
        help=f"comma-separated (default: all but {', '.join(sorted(EXTRA))}): " + ", ".join(LOADS),
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("build/benchmarks"),
        help="directory of the results (default: %(default)s)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
