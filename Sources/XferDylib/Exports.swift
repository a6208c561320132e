@_exported import XferABI
