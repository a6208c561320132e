import CBLASLoader
import CXfer

/// The thread count the library was last told. Kernels on several threads of the program may each tell it: they tell the same, since the
/// host does not share out batches to kernels that are not `concurrent`.
nonisolated(unsafe) private var threadsTold: Int32 = 0

/// A matrix in memory: its first element and the distance of its rows.
struct Matrix {
  let start: UnsafePointer<Float>
  let pitch: Int
  var transposed = false
}

/// `c[m,n] = op(a)[m,k] · op(b)[k,n] (+ c)`, on as many threads as the host has.
func multiply(
  _ op: Op, _ a: Matrix, _ b: Matrix, m: Int, n: Int, k: Int, into c: UnsafeMutablePointer<Float>, pitch: Int, adding: Bool = false
) {
  guard let blas else { return }
  let threads = op.host.pointee.thread_count?(op.host) ?? 1
  if threads != threadsTold {
    xfer_blas_threads(blas, threads)
    threadsTold = threads
  }
  xfer_blas_sgemm(
    blas, a.transposed ? 1 : 0, b.transposed ? 1 : 0, Int64(m), Int64(n), Int64(k), a.start, Int64(a.pitch), b.start, Int64(b.pitch),
    adding ? 1 : 0, c, Int64(pitch))
}

/// `y = activation(y + bias + residual)` for rows of `columns`, in place.
func epilogue(
  _ op: Op, _ y: UnsafeMutablePointer<Float>, rows: Int, columns: Int, bias: UnsafePointer<Float>?, residual: UnsafePointer<Float>?,
  _ activation: xfer_activation
) {
  let linear = activation.kind == Int32(XFER_ACTIVATION_LINEAR)
  let relu = activation.kind == Int32(XFER_ACTIVATION_RELU)
  guard bias != nil || residual != nil || !linear else { return }
  op.parallel(rows, grain: max(1, elementGrain / max(1, columns))) { range in
    for row in range {
      let line = y + row * columns
      if let bias { for i in 0..<columns { line[i] += bias[i] } }
      if let residual {
        let other = residual + row * columns
        for i in 0..<columns { line[i] += other[i] }
      }
      if linear { continue }
      if relu {
        let (top, threshold, slope) = (activation.max_value, activation.threshold, activation.alpha)
        for i in 0..<columns {
          let x = line[i]
          line[i] = x >= top ? top : x >= threshold || x.isNaN ? x : slope * (x - threshold)
        }
      } else {
        for i in 0..<columns { line[i] = Float(activate(Double(line[i]), activation)) }
      }
    }
  }
}
