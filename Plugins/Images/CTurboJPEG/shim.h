#include <stdio.h>
#include <string.h>
#include <turbojpeg.h>

static inline int xfer_contains(const char *text, const char *part) { return strstr(text, part) != NULL; }
