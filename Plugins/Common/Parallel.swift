import CXfer

extension Op {
  private typealias Body = (Range<Int>) -> Void

  /// Runs `body` over pieces of `0..<count`, at most `grain` items each, on the host's threads.
  func parallel(_ count: Int, grain: Int, _ body: (Range<Int>) -> Void) {
    guard count > 0 else { return }
    guard count > grain, let run = host.pointee.parallel_for else { return body(0..<count) }
    // The loop ends before this call does, so the closure never outlives it.
    withoutActuallyEscaping(body) { escapable in
      var context: Body = escapable
      withUnsafeMutablePointer(to: &context) {
        run(
          host, Int64(count), Int64(grain),
          { context, begin, end, _ in
            context?.assumingMemoryBound(to: Body.self).pointee(Int(begin)..<Int(end))
          }, UnsafeMutableRawPointer($0))
      }
    }
  }

  /// How many pieces of scratch memory `parallelSlots` needs for `count` items. Fixed at prepare, whatever the threads.
  func slots(_ count: Int) -> Int { min(max(count, 1), 16) }

  /// Like `parallel`, with a slot number for each piece that no two pieces share.
  func parallelSlots(_ count: Int, _ body: (_ slot: Int, _ item: Int) -> Void) {
    let slots = slots(count)
    parallel(slots, grain: 1) { pieces in
      for slot in pieces {
        for item in count * slot / slots..<count * (slot + 1) / slots { body(slot, item) }
      }
    }
  }
}

/// The elements one task handles in a pass over a tensor.
let elementGrain = 16384
