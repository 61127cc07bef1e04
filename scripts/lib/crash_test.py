"""Implements scripts/crash_test.sh; see there for the usage."""

import argparse
import fcntl
import json
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

RUN = """
run: {device: cpu, threads: 1, deterministic: true, max_steps: %d}
model: {path: configs/tiny-text/backbone}
text: {context_max_length: 60, conversation_max_length: 66}
hypernetwork: {lora_rank: 2, meta_lora_rank: 8, generated_scale: 0.05, memory_init_std: 0.05, m2p: {heads: 3}}
data: {train: [%s], validation_share: 0.05}
optimizer: {learning_rate: 1e-3, batch_size: 2, accumulation: 2}
schedule: {warmup_steps: 4, epochs: 20}
checkpoint: {every_steps: 3}
validation: {every_steps: 20, max_samples: 4}
logging: {every_steps: 1}
"""
TIMES = ("time", "seconds", "communication_seconds", "data_seconds", "tokens_per_second")
LONGEST_END = 30  # seconds in which everything of a killed job must be gone
MARK = "SHINE_CRASH_TEST"  # in the environment of every process of this test


class Impossible(Exception):
    """Why a part cannot be done here."""


class Failure(Exception):
    """Something that may not happen; its text is the line to print."""


def processes_of(mark):
    """Ids and names of the living processes with this mark in their environment; it ends with a dot."""
    found = []
    wanted = f"{MARK}={mark}".encode()
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            if wanted not in Path(f"/proc/{entry}/environ").read_bytes():
                continue
            status = Path(f"/proc/{entry}/stat").read_text()
        except OSError:  # gone, or another user's
            continue
        name, rest = status[status.index("(") + 1 :].rsplit(")", 1)
        if rest.split()[0] != "Z":
            found.append((int(entry), name))
    return found


def kill(process):
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        pass


class Session:
    """One call of the command that trains, or goes on to train, the run in a folder."""

    count = 0

    def __init__(self, part, run):
        Session.count += 1
        self.part, self.run = part, run
        self.mark = f"{os.getpid()}.{Session.count}."
        log = run / "log.txt"
        self.log_start = log.stat().st_size if log.exists() else 0
        self.left_over = self.unfinished()
        self.console = open(part.folder / "console.txt", "wb")
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            part.command(run),
            env={**os.environ, MARK: self.mark, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=self.console,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def age(self):
        return time.monotonic() - self.started

    def running(self):
        return self.process.poll() is None

    def log(self):
        """What this session has written to the run's log."""
        try:
            return (self.run / "log.txt").read_bytes()[self.log_start :].decode()
        except OSError:
            return ""

    def resumed_from(self, doing):
        found = re.search(r"resuming from .* after step (\d+)", self.log())
        return found[1] if found else "-" if doing == "starting" else "0"

    def wait_for_end(self, limit):
        """Waits until no process of this session is left and the run can be locked; returns the exit status."""
        try:
            status = self.process.wait(limit)
            deadline = time.monotonic() + LONGEST_END
            while processes_of(self.mark) or not self.lock_is_free():
                if time.monotonic() > deadline:
                    raise Failure(f"{LONGEST_END} s after the end processes are left: {processes_of(self.mark)}")
                time.sleep(0.02)
        except subprocess.TimeoutExpired:
            raise Failure(f"the job has not ended within {limit} s: {processes_of(self.mark)}") from None
        finally:
            for process, _ in processes_of(self.mark):
                kill(process)
            self.console.close()
        return status

    def lock_is_free(self):
        try:
            with open(self.run / "lock", "rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return True
        except BlockingIOError:
            return False
        return True

    def kill(self, target):
        """Returns what was killed: a part of a job may not have been started yet."""
        ranks = sorted(process for process, name in processes_of(self.mark) if name == "shine_train")
        if target == "one rank" and ranks:
            kill(self.part.random.choice(ranks))
        elif target == "all ranks" and ranks:
            for process in ranks:
                kill(process)
        else:
            kill(self.process.pid)
            return "process" if self.part.processes == 1 else "mpirun"
        return target

    def unfinished(self):
        """Names of what is neither complete nor gone in the run's folder."""
        checkpoints = self.run / "checkpoints"
        folders = list(checkpoints.iterdir()) if checkpoints.is_dir() else []
        return {entry.name for entry in folders if ".partial-" in entry.name or not (entry / "DONE").exists()} | {
            entry.name for entry in self.run.glob("*.partial-*")}

    def doing(self):
        """What a killed session was at, by what it left behind."""
        for name in sorted(self.unfinished() - self.left_over, key=lambda name: ".partial-" not in name):
            what = name.split(".partial-")[0]
            return ("removing " if what == name else "saving " if what.startswith("step-") else "writing ") + what
        return "training" if re.search(r"stage \w+: \d+ samples", self.log()) else "starting"


def last_step(run):
    """The last step in the metrics: what the run has reached, saved or not."""
    try:
        lines = (run / "metrics.jsonl").read_text(errors="replace").split("\n")[:-1]
        return max((json.loads(line)["step"] for line in lines), default=0)
    except (OSError, ValueError):
        return 0


def without_times(value):
    return {key: item for key, item in value.items() if key not in TIMES}


def compare(whole, run, steps):
    """What differs between the ends of two runs; empty for equal ones."""
    differences = []
    left, right = (folder / f"checkpoints/step-{steps}" for folder in (whole, run))
    names = [{file.name for file in folder.glob("*.safetensors")} for folder in (left, right)]
    if names[0] != names[1] or not names[0] >= {"trained.safetensors", "optimizer.safetensors", "random.safetensors"}:
        return [f"files of the last checkpoint: {sorted(names[0])}, {sorted(names[1])}"]
    for name in sorted(names[0]):
        if (left / name).read_bytes() != (right / name).read_bytes():
            differences.append(name)
    states = [without_times(json.loads((folder / "state.json").read_text())) for folder in (left, right)]
    differences += [f"state.json: {key}" for key in states[0].keys() | states[1].keys()
                    if states[0].get(key) != states[1].get(key)]
    metrics = [[without_times(json.loads(line)) for line in (folder / "metrics.jsonl").read_text().splitlines()]
               for folder in (whole, run)]
    if len(metrics[0]) != len(metrics[1]):
        differences.append(f"metrics.jsonl: {len(metrics[0])} and {len(metrics[1])} events")
    differences += [f"metrics.jsonl: line {number}" for number, (one, other) in enumerate(zip(*metrics), 1)
                    if one != other][:1]
    if (whole / "FINISHED").read_bytes() != (run / "FINISHED").read_bytes():
        differences.append("FINISHED")
    return differences


class Part:
    """Runs of one number of processes."""

    def __init__(self, arguments, processes, launcher, dice):
        self.processes, self.random, self.arguments = processes, dice, arguments
        self.folder = arguments.dir / "work" / f"{processes}"
        self.folder.mkdir(parents=True)
        self.prefix = launcher
        self.name = "1 process" if processes == 1 else f"{processes} ranks"
        self.kills, self.ends, self.longest_end = 0, 0, 0.0

    def command(self, run):
        config = self.arguments.dir / "work" / "run.yaml"
        return [*self.prefix, self.arguments.program, str(config), f"run.dir={run}", *self.arguments.overrides]

    def said(self):
        """What the last session has printed."""
        return (self.folder / "console.txt").read_text(errors="replace")

    def finish(self, run):
        """Lets the run come to its end; returns the session."""
        session = Session(self, run)
        status = session.wait_for_end(self.limit)
        if status != 0 and "was built without MPI" in self.said():
            raise Impossible("the program was built without MPI")
        if status != 0:
            raise Failure(f"{shlex.join(self.command(run))} ended with status {status}")
        return session

    def prepare(self):
        """The undisturbed run, and from it the times of a run."""
        self.limit = 600
        self.whole = self.folder / "whole"
        session = self.finish(self.whole)
        self.seconds = session.age()
        metrics = [json.loads(line) for line in (self.whole / "metrics.jsonl").read_text().splitlines()]
        times = [event["time"] for event in metrics if event["kind"] == "train"]
        self.start = max(0.1, self.seconds - (times[-1] - times[0]))
        self.limit = 60 + 10 * self.seconds

    def wait_for_instant(self, session, aim):
        """Waits until the session is to be killed; false where it ended before."""
        checkpoints = session.run / "checkpoints"
        if aim == "saving":
            saves, seen = self.random.randint(1, 4), set()
            while len(seen) < saves and session.running():
                if checkpoints.is_dir():
                    names = {name for name in os.listdir(checkpoints) if ".partial-" in name}
                    seen |= names - session.left_over
                time.sleep(0.0005)
            time.sleep(self.random.uniform(0, 0.03))
        else:
            instant = self.random.uniform(0, self.start + 0.3 * (self.seconds - self.start))
            while session.age() < instant and session.running():
                time.sleep(0.002)
        return session.running()

    def kill_once(self, run, target, table):
        """Starts the run, or lets it go on, and kills it; false where it came to its end first."""
        session = Session(self, run)
        aim = "saving" if self.random.random() < 1 / 3 else "any"
        if not self.wait_for_instant(session, aim):
            status = session.wait_for_end(self.limit)
            if status != 0:
                raise Failure(f"the run ended by itself, with status {status}")
            return False
        instant = session.age()
        target = session.kill(target)
        killed = time.monotonic()
        status = session.wait_for_end(LONGEST_END)
        self.longest_end = max(self.longest_end, time.monotonic() - killed)
        if status == 0 and (run / "FINISHED").exists():
            return False
        self.kills += 1
        table.add(self, run, target, instant, session)
        return True

    def kill_and_compare(self, count, table):
        """Kills until there have been `count` of them, several of one run, and compares every end."""
        self.prepare()
        targets = ["process"] if self.processes == 1 else ["one rank", "all ranks", "mpirun"]
        while self.kills < count:
            run = self.folder / f"run-{self.ends + 1}"
            for _ in range(self.random.randint(3, 8)):
                target = targets[self.kills % len(targets)]
                if self.kills == count or not self.kill_once(run, target, table):
                    break
            if not (run / "FINISHED").exists():
                self.finish(run)
            differences = compare(self.whole, run, self.arguments.steps)
            if differences:
                raise Failure(f"{run} differs from {self.whole}: {', '.join(differences)}")
            self.ends += 1
            shutil.rmtree(run)


class Table:
    FORMAT = "{:>4}  {:>9}  {:<9}  {:>8}  {:<17}  {:>4}  {:>12}"

    def __init__(self, file):
        self.file, self.count = file, 0
        self.say(self.FORMAT.format("kill", "processes", "killed", "second", "doing", "step", "started from"))

    def say(self, line):
        print(line, flush=True)
        print(line, file=self.file, flush=True)

    def add(self, part, run, target, instant, session):
        self.count += 1
        doing = session.doing()
        self.say(self.FORMAT.format(self.count, part.processes, target, f"{instant:.3f}", doing,
                                    last_step(run), session.resumed_from(doing)))


class Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(1, f"crash_test: error: {message} (scripts/crash_test.sh --help)\n")


def read_arguments():
    parser = Parser(add_help=False)
    parser.add_argument("kills", type=int)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1000000)
    parser.add_argument("--dir", type=Path, default=Path("runs/crash-test"))
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--processes", type=int, choices=(1, 2))
    parser.add_argument("--program", required=True)
    parser.add_argument("--launcher", type=shlex.split, required=True)
    arguments = parser.parse_intermixed_args()
    if arguments.kills < 1:
        parser.error("the number of kills is at least 1")
    for override in arguments.overrides:
        if "=" not in override:
            parser.error(f"{override} is not key=value")
    return arguments


def make_parts(arguments):
    """Parts with the numbers of their kills."""
    wanted = [arguments.processes] if arguments.processes else [1, 2]
    if 2 in wanted and not arguments.launcher:
        print("crash_test: no OpenMPI here (Debian: openmpi-bin): runs of two ranks are left out")
        wanted.remove(2)
    parts = []
    for place, processes in enumerate(wanted):
        share = (arguments.kills + len(wanted) - 1 - place) // len(wanted)
        launcher = arguments.launcher if processes > 1 else []
        dice = random.Random(f"{arguments.seed} {processes}")
        parts.append((Part(arguments, processes, launcher, dice), share))
    return parts


def main():
    arguments = read_arguments()
    work = arguments.dir / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    corpus = Path("configs/tiny-text/corpus.txt").read_text().split("\n")[:160]
    (work / "texts.txt").write_text("\n".join(corpus))
    (work / "run.yaml").write_text(RUN % (arguments.steps, json.dumps(str(work / "texts.txt"))))
    with open(arguments.dir / "kills.txt", "w") as file:
        table = Table(file)
        table.say(f"seed {arguments.seed}")
        for part, count in make_parts(arguments):
            try:
                part.kill_and_compare(count, table)
            except Impossible as reason:
                table.say(f"crash_test: {reason}: runs of {part.name} are left out")
                continue
            except Failure as failure:
                table.say(f"crash_test: error: {part.name}: {failure}")
                sys.stderr.write("".join(part.said().splitlines(keepends=True)[-8:]))
                return 1
            table.say(f"{part.name}: {part.kills} kills, {part.ends} ends, all equal to the undisturbed "
                      f"run; after a kill everything was gone within {part.longest_end:.1f} s")
    shutil.rmtree(work)
    return 0


def stop(number, _):
    for process, _ in processes_of(f"{os.getpid()}."):
        kill(process)
    os._exit(128 + number)


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    sys.exit(main())
