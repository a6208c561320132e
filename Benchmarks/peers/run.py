#!/usr/bin/env python3
"""Xfer beside its peers: time and memory of forward passes, head training and fine-tuning, each system at its own best settings.

    python Benchmarks/peers/run.py [--networks Xception] [--tasks forward fine-tune] [--repeats 5] [--threads 2] [--precision float32]

All systems of a row are alive at once and take turns, one run each, best of `--repeats`; a machine's noise then falls on all of them. Ratios within a
row are what counts. A peer that cannot be had, or cannot do a row, is left out with a line that says why. Results go to --results, by bench-peers.sh to
Benchmarks/results/NAME of the variant of the simd plugin that serves here.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import chart

HERE = Path(__file__).resolve().parent
SYSTEMS = ["xfer", "openvino", "onnxruntime", "torch", "keras"]
TITLES = {"xfer": "Xfer", "openvino": "OpenVINO", "onnxruntime": "ONNX Runtime", "torch": "PyTorch", "keras": "Keras/TensorFlow"}
SIZES = {"Xception": 150, "MobileNetV2": 224, "ResNet50": 224, "EfficientNetB0": 224}
ROWS = [("forward", 1), ("forward", 32), ("head 1", 32), ("head 20", 32), ("fine-tune", 8), ("fine-tune", 32)]
# Fresh pages cost PyTorch nearly half its time.
GLIBC = "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=100000000000:glibc.malloc.top_pad=268435456"


class Worker:
    def __init__(self, system, work, python, cpus):
        environment = {k: v for k, v in os.environ.items() if k not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")}
        if system == "torch":
            environment["GLIBC_TUNABLES"] = GLIBC
        self.system = system
        self.process = subprocess.Popen(
            ["taskset", "-c", cpus, python, str(HERE / "worker.py"), system, json.dumps(work)], env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.checksum = None
        for line in self.process.stdout:
            if line.startswith("ready "):
                self.checksum = float(line.split()[1])
                break
        if self.checksum is None:
            words = self.process.communicate()[1].strip().splitlines()
            raise RuntimeError(words[-1] if words else f"ended with {self.process.returncode}")
        self.best = float("inf")

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(self.process.stderr.read().strip().splitlines()[-1:])
        return float(answer)

    def go(self):
        self.best = min(self.best, self.ask("go"))

    def end(self):
        memory = self.ask("end")
        self.process.wait()
        return memory


def supports(system, task, precision):
    if system in ("openvino", "onnxruntime") and task != "forward":
        return False
    return not (system == "onnxruntime" and precision == "bfloat16")


def measure(network, task, batch, precision, threads, options):
    """{"system": {"ms": an image, or an epoch an image, "rss": bytes}}"""
    work = {"network": str(options.folder / network), "size": SIZES[network], "task": task, "batch": batch, "precision": precision,
            "threads": threads}
    workers, found = [], {}
    for system in options.systems:
        if not supports(system, task, precision):
            continue
        try:
            workers.append(Worker(system, work, options.python, ",".join(map(str, range(threads)))))
        except RuntimeError as error:
            print(f"  {TITLES[system]} left out: {error}", file=sys.stderr)
    checks = {w.system: w.checksum for w in workers}
    if task == "forward" and workers and max(checks.values()) > (1.1 if precision == "bfloat16" else 1.001) * min(checks.values()):
        print(f"  the systems' outputs differ: {checks}", file=sys.stderr)
    for _ in range(options.repeats):
        for worker in workers:
            worker.go()
    images = 64 if task.startswith("head") else batch
    for worker in workers:
        seconds = worker.best
        # Twenty epochs are twenty times one for those that keep nothing between them.
        if task == "head 20" and worker.system != "xfer":
            seconds *= 20
        found[worker.system] = {"ms": 1000 * seconds / images, "rss": worker.end()}
    return found


def table(rows):
    present = [s for s in SYSTEMS if any(s in row["systems"] for row in rows)]
    lines = ["| work | " + " | ".join(TITLES[s] for s in present) + " | Xfer / best peer |",
             "| --- |" + " --- |" * (len(present) + 1)]
    for row in rows:
        systems = row["systems"]
        cells = [f"{systems[s]['ms']:.2f} ms, {systems[s]['rss'] / 1e6:.0f} MB" if s in systems else "–" for s in present]
        peers = [systems[s]["ms"] for s in systems if s != "xfer"]
        ratio = f"{systems['xfer']['ms'] / min(peers):.2f}" if peers and "xfer" in systems else "–"
        lines.append(f"| {row['title']} | " + " | ".join(cells) + f" | {ratio} |")
    return "\n".join(lines)


def machine():
    try:
        name = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))[1]
    except (OSError, TypeError):
        name = platform.machine()
    return f"{os.cpu_count()} cores of {name}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--tasks", nargs="+", default=["forward", "head 1", "head 20", "fine-tune"])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8, 32])
    parser.add_argument("--precision", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--systems", nargs="+", default=SYSTEMS, choices=SYSTEMS)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path(".cache/peers/networks"), help="where the networks are, or are made")
    parser.add_argument("--python", default=sys.executable, help="an interpreter with the peers and Xfer's package")
    parser.add_argument("--results", type=Path, default=HERE.parent / "results")
    options = parser.parse_args()
    missing = [n for n in options.networks if not (options.folder / f"{n}.npz").exists()]
    if missing:
        subprocess.run([options.python, str(HERE / "make_networks.py"), str(options.folder), *missing], check=True)
    rows = []
    options.results.mkdir(parents=True, exist_ok=True)
    for network in options.networks:
        for precision in options.precision:
            for threads in options.threads:
                for task, batch in ROWS:
                    if task not in options.tasks or batch not in options.batches:
                        continue
                    title = f"{network}, {task}{' epochs' if task == 'head 20' else ' epoch' if task == 'head 1' else ''}, "
                    title += f"batch {batch}, {precision}, {threads} thread{'s' if threads > 1 else ''}"
                    print(title, flush=True)
                    found = measure(network, task, batch, precision, threads, options)
                    for system, numbers in found.items():
                        print(f"  {TITLES[system]:18} {numbers['ms']:9.2f} ms an image {numbers['rss'] / 1e6:8.0f} MB", flush=True)
                    rows.append({"title": title, "network": network, "task": task, "batch": batch, "precision": precision, "threads": threads,
                                 "systems": found})
                    (options.results / "peers.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
                    (options.results / "peers.md").write_text(
                        f"Milliseconds an image and peak memory; made by `make bench-peers` on {machine()}.\n\n" + table(rows) + "\n", encoding="utf-8")
                    (options.results / "peers.svg").write_text(chart.svg(rows, SYSTEMS, TITLES), encoding="utf-8")
    print("\n" + table(rows))


if __name__ == "__main__":
    main()
