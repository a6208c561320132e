import CPluginSupport
import CXfer

/// BINARY with dimensions of 1 on either side, and BROADCAST, which is a product with one number.
///
/// Dimensions next to each other in which both sides behave alike are joined, so that most shapes come down to long rows on which each
/// side is a vector or one number. Short vectors that repeat along a row (three channels) are written out several times beforehand.

struct Binary {
  var kind = 0
  var count = 0
  /// Of both sides and the result; BROADCAST is of floats.
  var elements = ElementKind.floats
  /// A row: the last joined dimension, or the last two where a side repeats.
  var length = 1
  /// Whether a side goes on along a row.
  var stepA = 0
  var stepB = 0
  /// The repeating side (0: none, 1: a, 2: b), floats of one repetition, floats of as many as are written out.
  var repeated = 0
  var period = 1
  var tile = 1
  /// Repetitions to write out.
  var tiles = 0
  /// BROADCAST's factor stands for b.
  var hasFactor = false
  /// Sizes of the dimensions around a row, from the outermost, and each side's floats (or, of a repeating side, repetitions) from one
  /// place of it to the next: three times eight. The factor stands behind them.
  var dimensions = 0
  var table: UnsafeMutablePointer<Int>! = nil
}

private struct BinaryRun {
  var plan: UnsafePointer<Binary>
  var a: Source
  var b: Source
  var y: Target
}

/// Repetitions are written out until they are this long.
private let tileFloats = 512

private let runBinary: Run = { kernel, inputs, outputs, workspace in
  let plan = UnsafePointer(payload(kernel, Binary.self))
  let p = plan.pointee
  var run = BinaryRun(plan: plan, a: floats(inputs[0]), b: floats(inputs[0]), y: floats(outputs[0]))
  run.b = p.hasFactor ? Source(factorAddress(p.table)) : floats(inputs[1])
  if p.repeated != 0 {
    let tiles = floats(workspace)
    let source = p.repeated == 1 ? run.a : run.b
    if p.elements == .halves {
      writeOut(elements(source, BFloat16.self), p, elements(tiles, BFloat16.self))
    } else {
      writeOut(source, p, tiles)
    }
    if p.repeated == 1 { run.a = Source(tiles) } else { run.b = Source(tiles) }
  }
  parallel(KernelHead.of(kernel).host, count: p.count, grain: elementGrain, &run) { context, begin, end, _ in
    let run = UnsafePointer(context.unsafelyUnwrapped.assumingMemoryBound(to: BinaryRun.self))
    if run.pointee.plan.pointee.elements == .halves {
      combineRows(Sides(run.pointee, BFloat16.self), Int(begin), Int(end))
    } else {
      combineRows(Sides(run.pointee, Float.self), Int(begin), Int(end))
    }
  }
  return XFER_OK
}

private func factorAddress(_ table: UnsafeMutablePointer<Int>) -> Target { floats(UnsafeMutableRawPointer(table + 24)) }

private func writeOut<E: Element>(_ from: UnsafePointer<E>, _ p: Binary, _ to: UnsafeMutablePointer<E>) {
  for i in 0..<p.tiles {
    for at in 0..<p.tile { to[i &* p.tile &+ at] = from[i &* p.period &+ at % p.period] }
  }
}

/// The tensors of a run as what they are made of.
private struct Sides<E: Element> {
  var plan: UnsafePointer<Binary>
  var a: UnsafePointer<E>
  var b: UnsafePointer<E>
  var y: UnsafeMutablePointer<E>

  init(_ run: BinaryRun, _ type: E.Type) {
    (plan, a, b, y) = (run.plan, elements(run.a, type), elements(run.b, type), elements(run.y, type))
  }
}

/// Where a row begins in each side; of a repeating side, its repetition.
private struct Place {
  var a = 0
  var b = 0
  /// The row's number within the innermost dimension around it.
  var index = 0

  init(_ row: Int, _ p: Binary) {
    var (rest, axis) = (row, p.dimensions &- 1)
    while axis >= 0 {
      let next = rest / p.table[axis]
      let here = rest &- next &* p.table[axis]
      a &+= here &* p.table[8 &+ axis]
      b &+= here &* p.table[16 &+ axis]
      if axis == p.dimensions &- 1 { index = here }
      rest = next
      axis &-= 1
    }
  }

  /// On to the next row: no division within the innermost dimension.
  @inline(__always) mutating func advance(to row: Int, _ p: Binary) {
    let axis = p.dimensions &- 1
    if axis >= 0 && index &+ 1 < p.table[axis] {
      index &+= 1
      a &+= p.table[8 &+ axis]
      b &+= p.table[16 &+ axis]
    } else {
      self = Place(row, p)
    }
  }
}

private func combineRows<E: Element>(_ r: Sides<E>, _ begin: Int, _ end: Int) {
  let p = r.plan.pointee
  var row = begin / p.length
  var column = begin &- row &* p.length
  var place = Place(row, p)
  var at = begin
  while at < end {
    let rowEnd = at &+ p.length &- column
    let stop = rowEnd < end ? rowEnd : end
    if p.repeated == 0 {
      combine(p.kind, r.a + (place.a &+ p.stepA &* column), p.stepA, r.b + (place.b &+ p.stepB &* column), p.stepB, r.y + at, stop &- at)
    } else {
      combineRepeated(r, p, place, column, at, stop)
    }
    at = stop
    if at >= end { return }
    column = 0
    row &+= 1
    place.advance(to: row, p)
  }
}

/// A row from `column` on, in pieces of what was written out.
private func combineRepeated<E: Element>(_ r: Sides<E>, _ p: Binary, _ place: Place, _ column: Int, _ begin: Int, _ end: Int) {
  let a = p.repeated == 1 ? r.a + place.a &* p.tile : r.a + place.a
  let b = p.repeated == 2 ? r.b + place.b &* p.tile : r.b + place.b
  var (at, column) = (begin, column)
  while at < end {
    let phase = column % p.tile
    let count = p.tile &- phase < end &- at ? p.tile &- phase : end &- at
    let offsetA = p.repeated == 1 ? phase : p.stepA &* column
    let offsetB = p.repeated == 2 ? phase : p.stepB &* column
    combine(p.kind, a + offsetA, p.stepA, b + offsetB, p.stepB, r.y + at, count)
    at &+= count
    column &+= count
  }
}

/// A function of two registers, as a type, so that the loop is compiled for each.
private protocol BinaryFunction {
  static func value(_ a: Vec, _ b: Vec) -> Vec
}

private enum AddFunction: BinaryFunction {
  @inline(__always) static func value(_ a: Vec, _ b: Vec) -> Vec { a + b }
}
private enum SubtractFunction: BinaryFunction {
  @inline(__always) static func value(_ a: Vec, _ b: Vec) -> Vec { a - b }
}
private enum MultiplyFunction: BinaryFunction {
  @inline(__always) static func value(_ a: Vec, _ b: Vec) -> Vec { a * b }
}
private enum DivideFunction: BinaryFunction {
  @inline(__always) static func value(_ a: Vec, _ b: Vec) -> Vec { a / b }
}
private enum MaximumFunction: BinaryFunction {
  @inline(__always) static func value(_ a: Vec, _ b: Vec) -> Vec { xfer_vec_largest(a, b) }
}
private enum MinimumFunction: BinaryFunction {
  @inline(__always) static func value(_ a: Vec, _ b: Vec) -> Vec { xfer_vec_smallest(a, b) }
}
private enum PowerFunction: BinaryFunction {
  @inline(__always) static func value(_ a: Vec, _ b: Vec) -> Vec { power(a, b) }
}
/// NaN equals nothing: where both are, neither is below infinity and neither is infinite.
private enum EqualFunction: BinaryFunction {
  @inline(__always) static func value(_ a: Vec, _ b: Vec) -> Vec {
    let number = xfer_vec_if_less(a, splat(.infinity), splat(1), xfer_vec_if_same(a, splat(.infinity), splat(1), splat(0)))
    return xfer_vec_if_same(a, b, number, splat(0))
  }
}
private enum GreaterFunction: BinaryFunction {
  @inline(__always) static func value(_ a: Vec, _ b: Vec) -> Vec { xfer_vec_if_less(b, a, splat(1), splat(0)) }
}
private enum GreaterEqualFunction: BinaryFunction {
  @inline(__always) static func value(_ a: Vec, _ b: Vec) -> Vec { xfer_vec_if_less(b, a, splat(1), EqualFunction.value(a, b)) }
}

@inline(__always) private func each<F: BinaryFunction, E: Element>(
  _: F.Type, _ y: UnsafeMutablePointer<E>, _ count: Int, _ a: (_ at: Int, _ n: Int) -> Vec, _ b: (_ at: Int, _ n: Int) -> Vec
) {
  var i = 0
  while i &+ lanes <= count {
    storeVector(F.value(a(i, lanes), b(i, lanes)), y + i)
    i &+= lanes
  }
  let n = count &- i
  if n > 0 { storeVector(F.value(a(i, n), b(i, n)), y + i, first: n) }
}

@inline(never) private func combine<F: BinaryFunction, E: Element>(
  _: F.Type, _ a: UnsafePointer<E>, _ stepA: Int, _ b: UnsafePointer<E>, _ stepB: Int, _ y: UnsafeMutablePointer<E>, _ count: Int
) {
  @inline(__always) func get(_ p: UnsafePointer<E>, _ n: Int) -> Vec { n == lanes ? load(p) : load(p, first: n) }
  if stepA != 0 && stepB != 0 {
    each(F.self, y, count, { get(a + $0, $1) }, { get(b + $0, $1) })
  } else if stepA != 0 {
    let constant = splat(b[0].float)
    each(F.self, y, count, { get(a + $0, $1) }, { _, _ in constant })
  } else {
    let constant = splat(a[0].float)
    if stepB != 0 {
      each(F.self, y, count, { _, _ in constant }, { get(b + $0, $1) })
    } else {
      let other = splat(b[0].float)
      each(F.self, y, count, { _, _ in constant }, { _, _ in other })
    }
  }
}

private func combine<E: Element>(
  _ kind: Int, _ a: UnsafePointer<E>, _ stepA: Int, _ b: UnsafePointer<E>, _ stepB: Int, _ y: UnsafeMutablePointer<E>, _ count: Int
) {
  switch kind {
  case XFER_BINARY_ADD: combine(AddFunction.self, a, stepA, b, stepB, y, count)
  case XFER_BINARY_SUBTRACT: combine(SubtractFunction.self, a, stepA, b, stepB, y, count)
  case XFER_BINARY_MULTIPLY: combine(MultiplyFunction.self, a, stepA, b, stepB, y, count)
  case XFER_BINARY_DIVIDE: combine(DivideFunction.self, a, stepA, b, stepB, y, count)
  case XFER_BINARY_MAXIMUM: combine(MaximumFunction.self, a, stepA, b, stepB, y, count)
  case XFER_BINARY_MINIMUM: combine(MinimumFunction.self, a, stepA, b, stepB, y, count)
  case XFER_BINARY_POWER: combine(PowerFunction.self, a, stepA, b, stepB, y, count)
  case XFER_BINARY_EQUAL: combine(EqualFunction.self, a, stepA, b, stepB, y, count)
  case XFER_BINARY_GREATER: combine(GreaterFunction.self, a, stepA, b, stepB, y, count)
  default: combine(GreaterEqualFunction.self, a, stepA, b, stepB, y, count)
  }
}

/// The result's dimensions, joined where both sides behave alike: from the innermost, their sizes and whether a side goes on.
private struct Joined {
  typealias Eight = SIMD8<Int>
  var count = 0
  var size = Eight(repeating: 1)
  var goesA = Eight.zero
  var goesB = Eight.zero

  mutating func add(_ n: Int, _ a: Int, _ b: Int) {
    if n == 1 { return }
    let last = count &- 1
    if count > 0 && goesA[last] == a && goesB[last] == b {
      size[last] &*= n
      return
    }
    size[count] = n
    goesA[count] = a
    goesB[count] = b
    count &+= 1
  }
}

private func joined(_ desc: Desc) -> (plan: Binary, dimensions: Joined, factor: Float)? {
  let d = desc.pointee
  let isBroadcast = Int(d.op) == XFER_OP_BROADCAST
  guard d.has(isBroadcast ? 1 : 2, 1), let elements = d.elements(inputs: 2), !isBroadcast || elements == .floats else { return nil }
  let y = d.output(0)
  var plan = Binary(count: y.count, elements: elements)
  var dimensions = Joined()
  var factor: Float = 1
  if isBroadcast {
    guard let attributes = d.attributes(xfer_broadcast_attributes.self)?.pointee else { return nil }
    let x = d.input(0)
    guard x.rank == 2, y.rank == 3, x[0] == y[0], x[1] == y[2] else { return nil }
    (plan.kind, plan.hasFactor, factor) = (XFER_BINARY_MULTIPLY, true, attributes.scale)
    dimensions.add(y[2], 1, 0)
    dimensions.add(y[1], 0, 0)
    dimensions.add(y[0], 1, 0)
  } else {
    guard let attributes = d.attributes(xfer_binary_attributes.self)?.pointee, attributes.kind >= 0,
      attributes.kind <= Int32(XFER_BINARY_GREATER_EQUAL)
    else { return nil }
    let (a, b) = (d.input(0), d.input(1))
    guard a.rank == y.rank, b.rank == y.rank else { return nil }
    plan.kind = Int(attributes.kind)
    var axis = Int(y.rank) - 1
    while axis >= 0 {
      let n = y[axis]
      guard a[axis] == n || a[axis] == 1, b[axis] == n || b[axis] == 1, a[axis] == n || b[axis] == n else { return nil }
      dimensions.add(n, a[axis] == n ? 1 : 0, b[axis] == n ? 1 : 0)
      axis -= 1
    }
  }
  return (plan, dimensions, factor)
}

func isBinary(_ desc: Desc) -> Bool { joined(desc) != nil }

func prepareBinary(_ host: Host, _ desc: Desc, _ workspace: UnsafeMutablePointer<Int>?) -> OpaquePointer? {
  guard let (given, d, factor) = joined(desc) else { return nil }
  var plan = given
  var used = 1
  plan.length = d.size[0]
  (plan.stepA, plan.stepB) = (d.goesA[0], d.goesB[0])
  let tile = ceilDivide(tileFloats, d.size[0]) &* d.size[0]
  if d.count > 1 && d.size[0] <= tileFloats / 4 && d.size[0] &* d.size[1] >= 4 &* tile {
    // The side that ends with the short dimension while the other, or the result alone, goes on.
    let (endsA, endsB) = (d.goesA[0] > d.goesA[1], d.goesB[0] > d.goesB[1])
    let (joinsA, joinsB) = (d.goesA[0] == d.goesA[1], d.goesB[0] == d.goesB[1])
    if endsA && joinsB || endsB && joinsA {
      plan.repeated = endsA ? 1 : 2
      plan.period = d.size[0]
      plan.tile = tile
      plan.length = d.size[0] &* d.size[1]
      used = 2
    }
  }
  guard let k = makeKernel(host, plan, extra: aligned(25 &* 8), run: runBinary) else { return nil }
  let table = extraMemory(k).bindMemory(to: Int.self, capacity: 25)
  factorAddress(table).pointee = factor
  // Floats of each side within what is inside a dimension.
  var (floatsA, floatsB) = (1, 1)
  for i in 0..<used {
    if d.goesA[i] != 0 { floatsA &*= d.size[i] }
    if d.goesB[i] != 0 { floatsB &*= d.size[i] }
  }
  if plan.repeated == 1 { floatsA /= plan.period }
  if plan.repeated == 2 { floatsB /= plan.period }
  let outer = d.count > used ? d.count &- used : 0
  for i in 0..<outer {
    let (from, to) = (used &+ i, outer &- 1 &- i)
    table[to] = d.size[from]
    table[8 &+ to] = d.goesA[from] != 0 ? floatsA : 0
    table[16 &+ to] = d.goesB[from] != 0 ? floatsB : 0
    if d.goesA[from] != 0 { floatsA &*= d.size[from] }
    if d.goesB[from] != 0 { floatsB &*= d.size[from] }
  }
  k.pointee.table = table
  k.pointee.dimensions = outer
  if plan.repeated != 0 {
    k.pointee.tiles = plan.repeated == 1 ? floatsA : floatsB
    workspace?.pointee = aligned(k.pointee.tiles &* plan.tile &* 4)
  }
  return handle(k)
}
