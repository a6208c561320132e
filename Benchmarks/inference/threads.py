#!/usr/bin/env python3
"""The forward pass on one thread and on more, and what this machine allows: as many processes of one thread each, at the same time.

    python Benchmarks/inference/threads.py --xfer dist/bin/xfer [--threads 2] [--turns 5] [--networks Xception:150 SqueezeNet:224] [--batches 1 8 32]

All take turns; the fastest batch of all turns counts. "possible" is what processes that share nothing but the machine reach together.
"""

import argparse
import json
import subprocess


def fastest(options, network, batch, precision, threads, processes=1):
    """Milliseconds a batch, the slowest of processes that run at the same time."""
    name, size = network.split(":")
    command = [
        options.xfer, "bench", name, "--image-size", f"{size}x{size}", "--batch-size", str(batch), "--batches", str(max(4, 32 // batch)),
        "--precision", precision, "--threads", str(threads), "--json",
    ]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(processes)]
    return max(json.loads(process.communicate()[0])["fastest_seconds"] * 1e3 for process in running)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--xfer", default="xfer", help="the command")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--networks", nargs="+", default=["Xception:150", "SqueezeNet:224"], metavar="NAME:SIZE")
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8, 32])
    parser.add_argument("--precision", nargs="+", default=["f32"], choices=["f32", "bf16"])
    options = parser.parse_args()

    n = options.threads
    print(f"| forward pass | 1 thread | {n} threads | times as fast | possible |\n| --- | --- | --- | --- | --- |")
    for network in options.networks:
        for precision in options.precision:
            for batch in options.batches:
                best = {}
                for _ in range(options.turns):
                    for way in ((1, 1), (n, 1), (1, n)):
                        seconds = fastest(options, network, batch, precision, *way)
                        best[way] = min(best.get(way, seconds), seconds)
                one, more, apart = best[1, 1], best[n, 1], best[1, n]
                print(
                    f"| {network}, batch {batch}, {precision} | {one / batch:.2f} ms | {more / batch:.2f} ms | {one / more:.2f} "
                    f"| {n * one / apart:.2f} |", flush=True)


if __name__ == "__main__":
    main()
