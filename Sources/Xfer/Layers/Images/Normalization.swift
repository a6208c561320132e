public import XferCore
public import XferGraph

/// `(x − mean) / √variance`, by numbers given or learned from data by ``adapt(_:more:)``; `invert` undoes it.
///
/// Numbers are kept for each place of `axis`; the other dimensions share them. Weights, where the numbers are learned: mean, variance, count.
public final class Normalization: Layer {
  public override class var className: String { "Normalization" }
  let axes: [Int]
  let invert: Bool
  /// Given numbers: nested lists, or one for all.
  private let given: (mean: NumberGrid, variance: NumberGrid)?
  private var mean: Variable?
  private var variance: Variable?
  private var counted: Variable?
  private var total = RunningMoments()

  public init(axis: [Int] = [-1], invert: Bool = false, name: String? = nil) {
    (axes, self.invert, given) = (axis, invert, nil)
    super.init(name: name)
  }

  init(config: inout Configuration) throws {
    // Null is "no axis"; a missing key is the default, the last one.
    if config.has("axis") {
      let value = config.value("axis") ?? []
      guard let list = value.intValue.map({ [$0] }) ?? value.arrayValue?.compactMap(\.intValue), list.count == value.arrayValue?.count ?? 1
      else {
        throw config.wrong("axis", "a dimension's number, a list of them or null", value)
      }
      axes = list
    } else {
      axes = [-1]
    }
    invert = try config.bool("invert", false)
    let numbers = (config.value("mean"), config.value("variance"))
    switch numbers {
    case (nil, nil): given = nil
    case (let mean?, let variance?):
      given = (try NumberGrid(mean, "Normalization: 'mean'"), try NumberGrid(variance, "Normalization: 'variance'"))
    default: throw XferError.invalid("Normalization: 'mean' and 'variance' are to be given both or neither")
    }
    if let given {
      guard given.mean.shape == given.variance.shape else {
        throw XferError.shape(
          "Normalization: 'mean' has shape \(given.mean.shape), 'variance' \(given.variance.shape); they are to be the same")
      }
      guard given.mean.shape.count <= axes.count else {
        throw XferError.shape("Normalization: 'mean' has \(given.mean.shape.count) dimensions for \(axes.count) of 'axis'")
      }
    }
    try super.init(reading: &config)
  }

  /// The dimensions that have numbers of their own, in order.
  private func kept(_ rank: Int) throws -> [Int] { try Axes(numbers: axes, isList: true).positions(in: rank, name).sorted() }

  public override func build(_ inputs: [OpenShape]) throws {
    let sizes = try inputs[0].sizes(kept(inputs[0].count), name)
    guard given == nil else { return }
    mean = try addWeight("mean", sizes, .zeros, statistic: true)
    variance = try addWeight("variance", sizes, .ones, statistic: true)
    counted = try addWeight("count", [], .zeros, statistic: true)
  }

  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    let graph = context.graph
    let shape = graph.shape(inputs[0])
    let kept = try kept(shape.count)
    func wide(_ grid: NumberGrid) throws -> ValueID {
      // Dimensions of the numbers belong to the last ones kept.
      var target = shape.map { _ in 1 }
      for (axis, size) in zip(kept.reversed(), grid.shape.reversed()) { target[axis] = size }
      guard zip(target, shape).allSatisfy({ $0 == $1 || $0 == 1 }) else {
        throw XferError.shape("\(name): numbers of shape \(grid.shape) do not fit axis \(axes) of an input of shape \(shape)")
      }
      return graph.constant(try Tensor(grid.values.map { Float($0) }, shape: target))
    }
    let (centre, spread): (ValueID, ValueID)
    if let given {
      (centre, spread) = (try wide(given.mean), try wide(given.variance))
    } else {
      guard let mean, let variance else { throw XferError.state("\(name) is not built yet") }
      let target = shape.indices.map { kept.contains($0) ? shape[$0] : 1 }
      guard kept.map({ shape[$0] }) == mean.shape else {
        throw XferError.shape("\(name) was built for sizes \(mean.shape) of axis \(axes), an input of shape \(shape) was given")
      }
      (centre, spread) = (try graph.reshape(graph.variable(mean), to: target), try graph.reshape(graph.variable(variance), to: target))
    }
    let deviation = try graph.binary(.maximum, graph.unary(.sqrt, spread), graph.scalar(1e-7))
    if invert { return try graph.add(graph.multiply(inputs[0], deviation), centre) }
    return try graph.divide(graph.subtract(inputs[0], centre), deviation)
  }

  /// Learns mean and variance from a batch; with `more` it is added to the batches before it. Builds the layer if need be.
  public func adapt(_ data: Tensor, more: Bool = false) throws {
    guard given == nil else { throw XferError.state("\(name) has its mean and variance given, there is nothing to adapt") }
    guard data.shape.count > 0, data.count > 0 else {
      throw XferError.data("\(name): there is nothing to adapt to in data of shape \(data.shape)")
    }
    try buildIfNeeded([[nil] + data.shape.dropFirst().map { $0 }])
    guard let mean, let variance, let counted else { throw XferError.state("\(name) is not built yet") }
    let kept = try kept(data.shape.count)
    guard kept.map({ data.shape[$0] }) == mean.shape else {
      throw XferError.shape("\(name) was built for sizes \(mean.shape) of axis \(axes), data of shape \(data.shape) was given")
    }
    let values = try data.converted(to: .float32)
    if !more { total = RunningMoments() }
    total.add(values, kept: kept)
    try mean.assign(Tensor(total.mean.map { Float($0) }, shape: mean.shape))
    try variance.assign(Tensor(total.variance.map { Float($0) }, shape: variance.shape))
    // Keras keeps the weight for old files and leaves it at 0.
    _ = counted
  }

  /// Learns mean and variance from all batches of one epoch.
  public func adapt(_ data: some Dataset) throws {
    try data.restart(epoch: 0)
    var more = false
    while let batch = try data.next() {
      try adapt(batch.x, more: more)
      more = true
    }
    guard more else { throw XferError.data("\(name): the data set to adapt to is empty") }
  }

  public override var ownConfig: [String: JSONValue] {
    [
      "axis": .array(axes.map { .int($0) }), "invert": .bool(invert), "mean": given?.mean.config ?? .null,
      "variance": given?.variance.config ?? .null,
    ]
  }
}

/// A number or nested lists of them.
struct NumberGrid: Equatable {
  let shape: [Int]
  let values: [Double]

  init(_ json: JSONValue, _ what: String) throws {
    if let number = json.doubleValue {
      (shape, values) = ([], [number])
      return
    }
    guard let list = json.arrayValue, !list.isEmpty else {
      throw XferError.invalid("\(what) is to be a number or lists of them, \(json.text()) was given")
    }
    let rows = try list.map { try NumberGrid($0, what) }
    guard rows.allSatisfy({ $0.shape == rows[0].shape }) else { throw XferError.shape("\(what): the lists have different lengths") }
    (shape, values) = ([rows.count] + rows[0].shape, rows.flatMap(\.values))
  }

  var config: JSONValue {
    guard let count = shape.first else { return .double(values[0]) }
    let size = values.count / count
    return .array((0..<count).map { NumberGrid(Array(shape.dropFirst()), Array(values[$0 * size..<($0 + 1) * size])).config })
  }

  private init(_ shape: [Int], _ values: [Double]) { (self.shape, self.values) = (shape, values) }
}

/// Means and variances over batches, joined by the law of total variance.
struct RunningMoments {
  private(set) var mean: [Double] = []
  private(set) var variance: [Double] = []
  private var count = 0.0

  /// Adds the elements of a float32 tensor; places of `kept` are counted apart.
  mutating func add(_ data: Tensor, kept: [Int]) {
    let shape = data.shape
    let size = kept.map { shape[$0] }.reduce(1, *)
    // How far a step along each dimension moves among the places kept.
    var strides = shape.map { _ in 0 }
    var stride = 1
    for axis in kept.reversed() { (strides[axis], stride) = (stride, stride * shape[axis]) }
    var (sums, squares) = ([Double](repeating: 0, count: size), [Double](repeating: 0, count: size))
    func each(_ body: (Int, Double) -> Void) {
      var index = shape.map { _ in 0 }
      var place = 0
      for value in data.float32 {
        body(place, Double(value))
        var axis = shape.count - 1
        while axis >= 0 {
          index[axis] += 1
          place += strides[axis]
          if index[axis] < shape[axis] { break }
          place -= strides[axis] * shape[axis]
          index[axis] = 0
          axis -= 1
        }
      }
    }
    let n = Double(data.count / size)
    each { sums[$0] += $1 }
    let means = sums.map { $0 / n }
    each { squares[$0] += ($1 - means[$0]) * ($1 - means[$0]) }
    if count == 0 { (mean, variance) = (means.map { _ in 0 }, means.map { _ in 0 }) }
    let share = n / (count + n)
    for i in 0..<size {
      let joined = mean[i] * (1 - share) + means[i] * share
      let (old, new) = (mean[i] - joined, means[i] - joined)
      variance[i] = (variance[i] + old * old) * (1 - share) + (squares[i] / n + new * new) * share
      mean[i] = joined
    }
    count += n
  }
}
