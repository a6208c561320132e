import ArgumentParser

/// A size such as 800MB, 1.5GB, 1GiB or 1000000.
struct ByteCount: ExpressibleByArgument {
  let bytes: Int

  init?(argument: String) {
    let text = argument.lowercased()
    let digits = text.prefix { $0.isNumber || $0 == "." }
    let units: [String: Double] = [
      "": 1, "b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "kib": 1024, "mib": 1_048_576, "gib": 1_073_741_824,
    ]
    guard let number = Double(digits), let unit = units[String(text.dropFirst(digits.count))],
      let bytes = Int(exactly: (number * unit).rounded()),
      bytes > 0
    else { return nil }
    self.bytes = bytes
  }
}
