#!/bin/bash
# headers.sh INCLUDE: each header alone compiles as C99, C17 and C++17 without a warning.
set -euo pipefail
include=${1:?a folder is wanted}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
flags=(-pedantic -Wall -Wextra -Wconversion -Wshadow -Werror -fsyntax-only -I "$include")
for header in xfer xfer_plugin; do
  # Twice: the guards hold.
  printf '#include <%s.h>\n#include <%s.h>\nint main(void) { return 0; }\n' "$header" "$header" >"$work/$header.c"
  cp "$work/$header.c" "$work/$header.cpp"
  cc -std=c99 "${flags[@]}" "$work/$header.c"
  cc -std=c17 "${flags[@]}" "$work/$header.c"
  c++ -std=c++17 "${flags[@]}" "$work/$header.cpp"
done
# Both together, in either order.
printf '#include <xfer.h>\n#include <xfer_plugin.h>\nint main(void) { return 0; }\n' >"$work/both.c"
printf '#include <xfer_plugin.h>\n#include <xfer.h>\nint main(void) { return 0; }\n' >"$work/reversed.c"
cc -std=c99 "${flags[@]}" "$work/both.c" "$work/reversed.c"
echo "headers: C99, C17, C++17"
