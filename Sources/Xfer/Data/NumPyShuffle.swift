/// The order `numpy.random.RandomState(seed).shuffle` brings a list into.
///
/// Keras splits folders of images with it; the same seed gives the same training and validation images here.
/// MT19937 after Matsumoto & Nishimura (1998), bounded numbers by masked rejection as in numpy's `random_interval`.
struct NumPyShuffle {
  private var state = [UInt32](repeating: 0, count: 624)
  private var position = 624

  init(seed: UInt32) {
    state[0] = seed
    for i in 1..<624 { state[i] = 1_812_433_253 &* (state[i - 1] ^ (state[i - 1] >> 30)) &+ UInt32(i) }
  }

  private mutating func next() -> UInt32 {
    if position == 624 { twist() }
    var value = state[position]
    position += 1
    value ^= value >> 11
    value ^= (value << 7) & 0x9D2C_5680
    value ^= (value << 15) & 0xEFC6_0000
    return value ^ (value >> 18)
  }

  private mutating func twist() {
    for i in 0..<624 {
      let mixed = (state[i] & 0x8000_0000) | (state[(i + 1) % 624] & 0x7FFF_FFFF)
      state[i] = state[(i + 397) % 624] ^ (mixed >> 1) ^ (mixed & 1 == 1 ? 0x9908_B0DF : 0)
    }
    position = 0
  }

  /// A number in 0...limit.
  private mutating func interval(_ limit: UInt32) -> UInt32 {
    if limit == 0 { return 0 }
    let mask = UInt32.max >> UInt32(limit.leadingZeroBitCount)
    while true {
      let value = next() & mask
      if value <= limit { return value }
    }
  }

  /// The shuffled numbers 0..<count.
  mutating func order(_ count: Int) -> [Int] {
    var order = Array(0..<count)
    for i in stride(from: count - 1, to: 0, by: -1) { order.swapAt(i, Int(interval(UInt32(i)))) }
    return order
  }
}
