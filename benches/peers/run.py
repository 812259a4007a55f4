#!/usr/bin/env python3
"""PulseWatch and its peers, one after the other, several rounds in one run, in one table.

    python3 benches/peers/run.py

README.md beside this file says what is measured and how. Needs nothing but the standard library; the peers' packages go
into environments of their own.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import data
import environments
import table
from workloads import GROUPS, OURS, PEERS, WORKLOADS

HERE, ROOT = environments.HERE, environments.ROOT
PROGRAMS = {"pytorch": "torch_peer.py", "keras": "keras_peer.py", "prophet": "forecast_peer.py"}
# How OpenMP waits has to be said before a program starts. Its own default is to wait in a loop.
SETTINGS = {"pytorch": {"OMP_WAIT_POLICY": "PASSIVE"}, "pytorch-spin": {"OMP_WAIT_POLICY": "ACTIVE"}}
# Those that measure a start from a model that they have saved before.
SAVING = ("pytorch", "keras")
# Seconds after which a program is ended and its figures are missing.
PATIENCE = 1_200


def main():
    options = arguments()
    if options.table:
        lines = [json.loads(line) for line in options.table.read_text().splitlines()]
        print_tables(lines, next((line["threads"] for line in lines if line["workload"] == "machine"), options.threads))
        return
    pin(options.threads)
    run = Run(options)
    run.note_machine()
    for number in range(1, options.rounds + 1):
        for group in options.only:
            for who in options.who:
                run.measure(number, group, who)
    run.close()
    print_tables(run.lines, options.threads)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="how often everything is measured (5)")
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=GROUPS, help="some of the work")
    parser.add_argument("--who", nargs="+", choices=(OURS, *PEERS), default=(OURS, *PEERS), help="some of the programs")
    parser.add_argument("--threads", type=int, default=2, help="processors that all programs are kept on (2)")
    parser.add_argument("--profile", default="bench", help="cargo's profile for our side (bench)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every line that the programs printed")
    parser.add_argument("--table", type=Path, metavar="FILE", help="only print the tables of such a file again")
    return parser.parse_args()


def pin(threads):
    """What this process starts stays on the same processors, ours as well as theirs."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


class Run:
    def __init__(self, options):
        self.options = options
        self.lines = []
        self.file = options.json.open("w") if options.json else None
        home = environments.home().absolute()
        self.env = os.environ | {
            "PEERS_DATA": str(home / "data"),
            "PEERS_THREADS": str(options.threads),
            # Read before a library is loaded, so they cannot be set by the program itself.
            "OMP_NUM_THREADS": str(options.threads),
            "TF_NUM_INTRAOP_THREADS": str(options.threads),
            "TF_CPP_MIN_LOG_LEVEL": "2",
            # What `torch.compile` has made once is used again in the next round.
            "TORCHINDUCTOR_CACHE_DIR": str(home / "compiled"),
        }
        data.main(home / "data")
        self.commands = {}
        for who in options.who:
            if who == OURS:
                self.commands |= build(options.only, options.profile)
            elif set(PEERS[who]) & set(options.only):
                self.prepare(who)

    def prepare(self, who):
        peer = who.split("-")[0]
        command = [str(environments.python(peer)), str(HERE / PROGRAMS[peer])]
        for group in PEERS[who]:
            self.commands[who, group] = [*command, group]
        if who in SAVING and "cold" in self.options.only:
            self.call(who, [*command, "save"])

    def measure(self, number, group, who):
        command = self.commands.get((who, group))
        if not command:
            return
        began = time.monotonic()
        lines = self.call(who, command)
        for line in lines:
            self.add(line | {"round": number})
        complain(f"round {number}: {group} by {who}: {len(lines)} figures, {time.monotonic() - began:.1f} s")

    def call(self, who, command):
        """The JSON lines that the program printed; what went wrong is said, and its figures are missing."""
        name = f"{who}: {Path(command[0]).name} {command[-1]}"
        env = self.env | SETTINGS.get(who, {}) | {"PEERS_IMPL": who, "PEERS_STARTED": str(time.monotonic())}
        try:
            ended = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
        except (OSError, subprocess.TimeoutExpired) as error:
            complain(f"{name}: {error}")
            return []
        lines = [line for line in map(figure, ended.stdout.splitlines()) if line]
        if ended.returncode:
            complain(f"{name}: exit code {ended.returncode}\n{ended.stderr[-2_000:]}")
        for line in lines:
            expected = WORKLOADS[line["workload"]].windows if line["workload"] in WORKLOADS else 0
            if expected and line.get("windows", expected) != expected:
                complain(f"{name}: {line['workload']} is about {line['windows']} windows instead of {expected}")
        return lines

    def note_machine(self):
        self.add(
            {
                "workload": "machine",
                "impl": OURS,
                "threads": self.options.threads,
                "rounds": self.options.rounds,
                "version": f"{OURS} {commit()}, cargo profile {self.options.profile}",
                "machine": f"{processor()}, {platform.system()} {platform.release()}",
            }
        )

    def add(self, line):
        self.lines.append(line)
        if self.file:
            self.file.write(json.dumps(line) + "\n")
            self.file.flush()

    def close(self):
        if self.file:
            self.file.close()


def build(groups, profile):
    """Our benches are built first and then started without cargo, whose own time would be in the rounds."""
    cargo = os.environ.get("CARGO", "cargo")
    about = subprocess.run(
        [cargo, "metadata", "--no-deps", "--format-version=1"], cwd=ROOT, check=True, stdout=subprocess.PIPE
    )
    there = {
        target["name"]
        for package in json.loads(about.stdout)["packages"]
        for target in package["targets"]
        if "bench" in target["kind"]
    }
    wanted = [group for group in groups if group in there]
    # The rate of a matrix product is printed by the bench of w3.
    for group in groups:
        if group not in there and group != "peak":
            complain(f"{OURS}: there is no bench {group}")
    if not wanted:
        return {}
    benches = [word for name in wanted for word in ("--bench", name)]
    built = subprocess.run(
        [cargo, "bench", "--no-run", "--profile", profile, "--message-format=json-render-diagnostics", *benches],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    commands = {}
    for line in map(json.loads, filter(None, built.stdout.splitlines())):
        name = line.get("target", {}).get("name")
        if line.get("executable") and name in wanted and "bench" in line["target"]["kind"]:
            commands[OURS, name] = [line["executable"], "--bench", "--json", "--all"]
    return commands


def figure(text):
    """A line with a workload and an implementation; whatever else a program prints is for people."""
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) and {"workload", "impl"} <= line.keys() else None


def commit():
    shown = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
    return shown.stdout.strip() or "of an unknown commit"


def processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def complain(text):
    print(text, file=sys.stderr, flush=True)


def print_tables(lines, threads):
    figures = table.Figures(lines, threads)
    about = next((line for line in lines if line["workload"] == "machine"), {})
    versions = dict.fromkeys(line["version"] for line in lines if "version" in line)
    print(f"\n{about.get('machine', '')}, {threads} threads, {about.get('rounds', '?')} rounds; medians")
    print("\n".join(versions))
    peaks = [f"{rate:.0f} GFLOP/s ({impl})" for impl, rate in figures.peaks().items()]
    print(f"f: times the floor, which is the work's arithmetic in f32 at {peaks[0] if peaks else 'a peak that was not measured'}")
    if peaks[1:]:
        print(f"   other rates: {', '.join(peaks[1:])}")
    print(f"×: times ours\n\n{table.side_by_side(figures)}")
    print(f"\nEvery figure\n\n{table.every_figure(figures)}")
    print(f"\nTargets\n\n{table.targets(figures)}")


if __name__ == "__main__":
    main()
