import ArgumentParser
import Glibc
import Xfer

/// `--json`, which every command has.
struct OutputOptions: ParsableArguments {
  @Flag(help: "Print one JSON object instead of text.")
  var json = false
}

/// A command whose errors are JSON as well when its result is.
protocol ReportsJSON {
  var output: OutputOptions { get }
}

func printJSON(_ value: JSONValue) { print(value.text(pretty: true)) }

/// A line of progress.
func note(_ text: String) { writeError(text + "\n") }

/// Says before a long run, not after it, that a file could not be written.
func checkWritable(_ path: String?, _ option: String) throws {
  guard let path else { return }
  let folder = path.lastIndex(of: "/").map { path[...$0] } ?? "."
  guard access(String(folder), W_OK) == 0 else {
    throw XferError.io("\(option) \(path): the folder \(folder) cannot be written to: \(String(cString: strerror(errno)))")
  }
}

/// The most memory the process ever had in RAM, in bytes.
func peakResidentBytes() -> Int {
  var usage = rusage()
  getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
  return usage.ru_maxrss * 1024
}

/// Lines of a table with equally wide columns; `right` names the columns of numbers.
func aligned(_ rows: [[String]], right: Set<Int> = []) -> String {
  let count = rows.map(\.count).max() ?? 0
  let widths = (0..<count).map { column in rows.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0 }
  return rows.map { row in
    let cells = row.enumerated().map { column, text in
      let space = String(repeating: " ", count: widths[column] - text.count)
      return right.contains(column) ? space + text : text + space
    }
    var line = cells.joined(separator: "  ")
    while line.last == " " { line.removeLast() }
    return line
  }.joined(separator: "\n")
}

func percent(_ share: Double) -> String { fixed(share * 100, 1) + "%" }
