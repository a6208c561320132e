import ArgumentParser
import CPlatform
import CXfer
import Glibc
import Xfer

@main
enum Main {
  static func main() {
    // Progress goes to stderr at once, results to stdout at the end: a pipe must not hold lines back either.
    xfer_line_buffer_stdout()
    var command: any ParsableCommand
    do {
      command = try XferCommand.parseAsRoot()
    } catch {
      leave(parsing: error)
    }
    do {
      try command.run()
    } catch let error as XferError {
      let interrupted = error.status == XFER_E_CANCELLED
      if (command as? any ReportsJSON)?.output.json == true {
        printJSON(["error": ["status": .int(Int(error.status)), "message": .string(error.message)]])
      }
      writeError("xfer: \(error.message)\n")
      exit(interrupted ? ExitStatus.interrupted : ExitStatus.failed)
    } catch {
      leave(parsing: error)
    }
    exit(ExitStatus.done)
  }

  /// Help and versions are asked for; everything else that ends here is wrong usage.
  private static func leave(parsing error: any Error) -> Never {
    let text = XferCommand.fullMessage(for: error)
    if XferCommand.exitCode(for: error) == .success {
      if !text.isEmpty { print(text) }
      exit(ExitStatus.done)
    }
    writeError(text + "\n")
    exit(ExitStatus.usage)
  }
}

enum ExitStatus {
  static let done: Int32 = 0
  static let failed: Int32 = 1
  static let usage: Int32 = 2
  static let interrupted: Int32 = 130
}
