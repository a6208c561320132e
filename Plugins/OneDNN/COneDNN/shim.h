/* libdnnl, found at run time. Static inline only; nothing of oneDNN's own headers is needed. */
#ifndef XFER_ONEDNN_SHIM_H
#define XFER_ONEDNN_SHIM_H

#include "api.h"
#include "load.h"
#include "tensor.h"
#include "describe.h"

#endif
