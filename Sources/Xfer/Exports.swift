// Tensors, weights, errors and JSON are part of the Swift API: `import Xfer` brings them.
@_exported public import XferCore
@_exported public import XferGraph
