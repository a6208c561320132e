/// A depthwise convolution that gives several outputs a channel is one of as many channels as outputs, of an image whose every channel
/// stands there so many times. Rows of that image are made as they are needed, and rows of its gradient summed as they are done.

/// y[i*copies + j] = x[i]
func repeatEach<E: Element>(_ x: UnsafePointer<E>, _ count: Int, _ copies: Int, to y: UnsafeMutablePointer<E>) {
  @inline(__always) func fill(_ copies: Int) {
    for i in 0..<count {
      for j in 0..<copies { y[i &* copies &+ j] = x[i] }
    }
  }
  // With a known number the loop is one of registers.
  switch copies {
  case 2: fill(2)
  case 3: fill(3)
  case 4: fill(4)
  default: fill(copies)
  }
}

/// y[i] = x[i*copies] + x[i*copies + 1] + ...
func sumEach<E: Element>(_ x: Target, _ count: Int, _ copies: Int, to y: UnsafeMutablePointer<E>) {
  @inline(__always) func sum(_ copies: Int) {
    for i in 0..<count {
      var total = x[i &* copies]
      for j in 1..<copies { total += x[i &* copies &+ j] }
      y[i] = E(total)
    }
  }
  switch copies {
  case 2: sum(2)
  case 3: sum(3)
  case 4: sum(4)
  default: sum(copies)
  }
}
