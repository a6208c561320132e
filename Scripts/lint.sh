#!/bin/bash
# The Swift formatter's lint, the headers in three languages, the C programs with all warnings.
set -euo pipefail
cd "$(dirname "$0")/.."
if swift format --version >/dev/null 2>&1; then
  swift format lint --strict --parallel --recursive --configuration .swift-format Package.swift Sources Plugins Tests Examples
else
  echo "lint: this Swift has no 'swift format'; Swift files are not checked"
fi
Tests/C/headers.sh include
echo "lint: no findings"
