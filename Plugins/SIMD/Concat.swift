import CXfer

/// CONCAT of floats or of bfloat16: rows of each input side by side.

struct Concat {
  var inputs: Int
  var rows: Int
  /// Elements of a row of the result.
  var pitch: Int
  var elements: ElementKind
  /// Bytes of a row of each input.
  var lengths: UnsafeMutablePointer<Int>! = nil
}

private struct ConcatRun {
  var plan: UnsafePointer<Concat>
  var inputs: Inputs
  var to: Target
}

private let runConcat: Run = { kernel, inputs, outputs, _ in
  let plan = UnsafePointer(payload(kernel, Concat.self))
  var run = ConcatRun(plan: plan, inputs: inputs, to: floats(outputs[0]))
  let grain = ceilDivide(elementGrain, plan.pointee.pitch)
  parallel(KernelHead.of(kernel).host, count: plan.pointee.rows, grain: grain, &run) { context, begin, end, _ in
    let run = context.unsafelyUnwrapped.assumingMemoryBound(to: ConcatRun.self).pointee
    for row in Int(begin)..<Int(end) {
      var to = UnsafeMutableRawPointer(place(run.to, row &* run.plan.pointee.pitch, run.plan.pointee.elements))
      for i in 0..<run.plan.pointee.inputs {
        let length = run.plan.pointee.lengths[i]
        to.copyMemory(from: run.inputs[i].unsafelyUnwrapped + row &* length, byteCount: length)
        to += length
      }
    }
  }
  return XFER_OK
}

func concatPlan(_ desc: Desc) -> Concat? {
  let d = desc.pointee
  guard d.n_inputs >= 1, d.has(Int(d.n_inputs), 1), let elements = d.elements(inputs: Int(d.n_inputs)),
    let a = d.attributes(xfer_axis_attributes.self)?.pointee
  else { return nil }
  let y = d.output(0)
  let axis = Int(a.axis)
  guard axis >= 0, axis < Int(y.rank) else { return nil }
  var rows = 1
  for i in 0..<axis { rows &*= y[i] }
  var whole = 0
  for i in 0..<Int(d.n_inputs) {
    let x = d.input(i)
    if x.rank != y.rank { return nil }
    for j in 0..<Int(y.rank) where j != axis && x[j] != y[j] { return nil }
    whole &+= x[axis]
  }
  return whole == y[axis] ? Concat(inputs: Int(d.n_inputs), rows: rows, pitch: y.count / rows, elements: elements) : nil
}

func prepareConcat(_ host: Host, _ desc: Desc) -> OpaquePointer? {
  guard let plan = concatPlan(desc), let k = makeKernel(host, plan, extra: aligned(plan.inputs &* 8), run: runConcat) else { return nil }
  k.pointee.lengths = extraMemory(k).bindMemory(to: Int.self, capacity: plan.inputs)
  for i in 0..<plan.inputs { k.pointee.lengths[i] = (desc.pointee.input(i).count / plan.rows) &<< plan.elements.shift }
  return handle(k)
}
