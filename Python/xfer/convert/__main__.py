"""``python -m xfer.convert IN OUT [--architecture NAME]``"""

import argparse
import sys

from ._errors import ConversionError
from ._run import ARCHITECTURES, convert


def main(arguments=None):
    """Exit codes: 0 done, 1 failed, 2 usage."""
    parser = argparse.ArgumentParser(
        prog="python -m xfer.convert", description="Turns a PyTorch checkpoint (.pth) into Xfer's .safetensors; runs none of its code.")
    parser.add_argument("source", metavar="IN", help="the .pth file, legacy or zip")
    parser.add_argument("destination", metavar="OUT", help="the .safetensors file to write")
    parser.add_argument("--architecture", metavar="NAME", help=f"{', '.join(ARCHITECTURES)}; told from the tensor names if left out")
    options = parser.parse_args(arguments)
    try:
        report = convert(options.source, options.destination, options.architecture)
    except (ConversionError, OSError) as error:
        print(f"xfer.convert: {error}", file=sys.stderr)
        return 1
    print(f"{options.destination}: {report['architecture']}, {report['tensors']} tensors, {report['bytes']} bytes", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
