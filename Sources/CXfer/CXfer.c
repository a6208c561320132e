/* SwiftPM wants one source in a C target; this one proves that the headers agree. */
#include "xfer.h"
#include "xfer_plugin.h"
