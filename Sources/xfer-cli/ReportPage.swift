import Xfer

/// A training run as one HTML page that needs no other file: results, curves, each phase and epoch, how the model runs.
struct ReportPage {
  let result: TrainingResult
  /// The arguments of the command.
  let arguments: [String]
  /// The drawing of the training step, as SVG.
  let plan: String

  var html: String {
    let title = "\(result.base) on \(result.classes.count) classes"
    return """
      <!DOCTYPE html>
      <html lang="en">
      <head>
      <meta charset="utf-8">
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <title>\(escaped(title))</title>
      <style>\(Self.style)</style>
      </head>
      <body>
      <h1>\(escaped(title))</h1>
      <p>\(result.images.train) images to train on, \(result.images.validation) to validate on, \(escaped(result.size.text)). \
      <code>\(escaped((["xfer"] + arguments).joined(separator: " ")))</code></p>
      \(table(head: nil, result.rows))
      <h2>Curves</h2>
      <figure>\(CurvesFigure(result).svg)</figure>
      <h2>Phases</h2>
      \(table(head: ["phase", "epochs", "trained parameters", "frozen weights", "bit-equal", "val_loss", "val_accuracy"], phases))
      <details><summary>Every epoch</summary>
      \(table(head: ["phase", "epoch", "loss", "accuracy", "val_loss", "val_accuracy", "seconds"], epochs))
      </details>
      <h2>Classes</h2>
      <p>\(result.classes.map(escaped).joined(separator: ", "))</p>
      \(skipped)
      <h2>How it runs</h2>
      <figure>\(plan)</figure>
      <p>Made by xfer \(xferVersion).</p>
      </body>
      </html>

      """
  }

  private static let style = """
    :root{color-scheme:light dark}
    body{font:15px/1.5 system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;max-width:1100px;margin:2rem auto;padding:0 1rem}
    table{border-collapse:collapse;margin:1rem 0}td,th{padding:.25rem .9rem .25rem 0;text-align:left;border-bottom:1px solid #8884}
    td{font-variant-numeric:tabular-nums}figure{margin:1rem 0;overflow:auto;max-height:85vh;border:1px solid #8884;border-radius:6px}
    figure svg{display:block}code{word-break:break-all}summary{cursor:pointer}
    """

  private var phases: [[String]] {
    result.phases.map { phase in
      let last = phase.logs(phase.history.epochs.count - 1)
      return [
        phase.name, "\(phase.history.epochs.count)", "\(phase.trainedParameters)", "\(phase.frozenWeights)",
        phase.isAudited ? "yes" : "not checked",
        number(last["val_loss"]), number(last["val_accuracy"]),
      ]
    }
  }

  private var epochs: [[String]] {
    result.phases.flatMap { phase in
      phase.history.epochs.indices.map { index in
        let logs = phase.logs(index)
        return [phase.name, "\(index + 1)"] + ["loss", "accuracy", "val_loss", "val_accuracy"].map { number(logs[$0]) }
          + [fixed(phase.history.seconds[index], 2)]
      }
    }
  }

  private var skipped: String {
    guard !result.skipped.isEmpty else { return "" }
    return "<h2>Skipped images</h2>\n" + table(head: ["file", "reason"], result.skipped.map { [$0.path, $0.reason] })
  }

  private func number(_ value: Double?) -> String { value.map { fixed($0, 4) } ?? "-" }

  private func table(head: [String]?, _ rows: [[String]]) -> String {
    func row(_ cells: [String], _ tag: String) -> String { "<tr>" + cells.map { "<\(tag)>\(escaped($0))</\(tag)>" }.joined() + "</tr>" }
    let lines = (head.map { [row($0, "th")] } ?? []) + rows.map { row($0, "td") }
    return "<table>\n\(lines.joined(separator: "\n"))\n</table>"
  }

  private func escaped(_ text: String) -> String { SVG.escaped(text) }
}
