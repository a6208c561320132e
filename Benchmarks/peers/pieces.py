#!/usr/bin/env python3
"""Matrix products and depthwise convolutions of Xfer's kernels beside OpenBLAS (numpy), PyTorch (oneDNN) and TensorFlow.

    python Benchmarks/peers/pieces.py --kernels bench_kernels --plugin libxfer-simd-avx2.so [--threads 2] [--precision float32] [--repeats 3]

All systems take turns on a piece, best of `--repeats` turns; ratios within a row are what counts. "packed" is a weight that was packed beforehand, as a
frozen one and each of inference is; peers are given theirs as an array. Results go to pieces.md in --results.
"""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PEERS = {"numpy": "OpenBLAS", "torch": "PyTorch", "keras": "TensorFlow"}
MATMULS = [(2592, 728, 728), (81, 728, 728), (165888, 128, 128), (256, 256, 256), (512, 512, 512), (1024, 1024, 1024), (2048, 2048, 2048)]
DEPTHWISE = [(32, 9, 728), (32, 18, 728), (32, 36, 256), (32, 72, 128)]


class Peer:
    def __init__(self, system, python, threads, precision):
        environment = {k: v for k, v in os.environ.items() if k not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "PYTHONPATH")}
        self.process = subprocess.Popen(
            ["taskset", "-c", ",".join(map(str, range(threads))), python, str(HERE / "pieces_worker.py"), system, str(threads), precision],
            env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        if self.process.stdout.readline().strip() != "ready":
            raise RuntimeError(f"{PEERS[system]} cannot be had")

    def seconds(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().split()
        return float(answer[0]) if answer and answer[0] != "none" else None

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def xfer(options, name, threads, precision):
    """{name as printed: GFLOP/s} of the kernels whose name begins so."""
    given = [options.kernels, options.plugin, str(threads), name] + (["bf16"] if precision == "bfloat16" else [])
    out = subprocess.run(["taskset", "-c", ",".join(map(str, range(threads))), *given], text=True, capture_output=True, check=True).stdout
    return {m[1].rstrip(): float(m[2]) for m in re.finditer(r"^(\S.*?) +[\d.]+ ms +([\d.]+) GFLOP/s", out, re.M)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kernels", required=True, help="Benchmarks/kernels/bench_kernels.c, built")
    parser.add_argument("--plugin", required=True)
    parser.add_argument("--python", default=sys.executable, help="an interpreter with the peers")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--precision", nargs="+", default=["float32"], choices=["float32", "bfloat16"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--results", type=Path, default=HERE.parent / "results")
    options = parser.parse_args()
    options.results.mkdir(parents=True, exist_ok=True)
    lines = ["GFLOP/s; made by `make bench-peers`.", "",
             "| piece | Xfer, packed | Xfer | " + " | ".join(PEERS.values()) + " | Xfer's best / best peer |", "| --- |" + " --- |" * (len(PEERS) + 3)]
    for precision in options.precision:
        for threads in options.threads:
            peers = {}
            for system in PEERS:
                try:
                    peers[system] = Peer(system, options.python, threads, precision)
                except RuntimeError as error:
                    print(f"left out: {error}", file=sys.stderr)
            pieces = [(f"matmul {m}x{n}x{k}", f"matmul {m} {n} {k}", 2e-9 * m * n * k) for m, n, k in MATMULS]
            pieces += [(f"dw3x3 n{n} {s}x{s} {c}->{c}", f"depthwise {n} {s} {c}", 18e-9 * n * s * s * c) for n, s, c in DEPTHWISE]
            for name, line, gflop in pieces:
                own, found = {}, {}
                for _ in range(options.repeats):
                    for printed, rate in xfer(options, name, threads, precision).items():
                        own[printed] = max(own.get(printed, 0), rate)
                    for system, peer in peers.items():
                        seconds = peer.seconds(line)
                        if seconds:
                            found[system] = max(found.get(system, 0), gflop / seconds)
                packed, plain = own.get(name + " packed"), own.get(name)
                ratio = max(packed or 0, plain or 0) / max(found.values()) if found else None
                cells = [packed, plain, *(found.get(system) for system in PEERS)]
                row = f"| {name}, {precision}, {threads} thread{'s' if threads > 1 else ''} | "
                row += " | ".join("–" if cell is None else f"{cell:.0f}" for cell in cells) + f" | {'–' if ratio is None else f'{ratio:.2f}'} |"
                print(row, flush=True)
                lines.append(row)
                (options.results / "pieces.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
            for peer in peers.values():
                peer.end()


if __name__ == "__main__":
    main()
