/// SplitMix64 (Steele, Lea & Flood 2014): the same seed gives the same cases everywhere.
struct Random: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64, _ path: Int...) {
    state = seed
    for step in path { state = next() ^ UInt64(bitPattern: Int64(step)) &* 0x9E37_79B9_7F4A_7C15 }
  }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  mutating func int(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &self) }
  mutating func float(_ low: Float = -1, _ high: Float = 1) -> Float { Float.random(in: low...high, using: &self) }
  /// True `percent` times of a hundred.
  mutating func chance(_ percent: Int) -> Bool { int(1...100) <= percent }
  mutating func pick<T>(_ values: [T]) -> T { values[int(0...values.count - 1)] }

  /// A size up to `limit`: often 1, a power of two, or one beside it, where kernels have their tails.
  mutating func size(_ limit: Int) -> Int {
    let edges = [1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 24, 31, 32, 33, 48, 63, 64, 65, 96, 100, 127, 128, 129].filter { $0 <= limit }
    return chance(70) ? pick(edges) : int(1...limit)
  }

  /// Sizes whose product is at most `elements`.
  mutating func shape(rank: Int, elements: Int = 20_000, limit: Int = 129) -> [Int] {
    var left = elements
    return (0..<rank).map { _ in
      let next = size(max(1, min(limit, left)))
      left /= next
      return next
    }.shuffled(using: &self)
  }
}
