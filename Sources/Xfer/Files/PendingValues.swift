import Glibc
import Synchronization
import XferCore

/// Layers whose weights a file is about to fill: they are made with zeros, not random numbers, and within what the file can hold, so that a
/// hostile config cannot ask for more memory than the file that comes with it has values for.
enum PendingValues {
  /// Elements still allowed, by thread.
  private static let budgets = Mutex<[UInt: Int]>([:])

  /// Makes layers for a file with at most this many elements.
  static func during<T>(elements: Int = .max, _ body: () throws -> T) rethrows -> T {
    let thread = UInt(pthread_self())
    let outer = budgets.withLock { $0.updateValue(elements, forKey: thread) }
    defer { budgets.withLock { $0[thread] = outer } }
    return try body()
  }

  /// What a factor of LoRA starts with. Files hold no values for it; what a config may ask for is bounded by the weight it adapts.
  static func factor(_ usual: Initializer, of weight: [Int], _ shape: [Int]) throws -> Initializer {
    guard budgets.withLock({ $0[UInt(pthread_self())] }) != nil else { return usual }
    let limit = try 64 * Tensor.byteCount(weight, .float32) + 1 << 22
    guard try Tensor.byteCount(shape, .float32) <= limit else {
      throw XferError.format("LoRA of rank \(shape.last ?? 0) is asked for on a weight of shape \(weight)")
    }
    return .zeros
  }

  /// What a new weight starts with: zeros while a file is being read, else what its layer asks for.
  static func initializer(_ usual: Initializer, _ shape: [Int]) throws -> Initializer {
    try budgets.withLock { budgets in
      let thread = UInt(pthread_self())
      guard let left = budgets[thread] else { return usual }
      let count = try Tensor.byteCount(shape, .float32) / DType.float32.size
      guard count <= left else {
        throw XferError.format("a weight of shape \(shape) is asked for, the file has values for \(left) more elements")
      }
      budgets[thread] = left - count
      return .zeros
    }
  }
}
