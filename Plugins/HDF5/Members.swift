import CHDF5
import CXfer

/// A link of a group.
struct Member {
  var next: UnsafeMutablePointer<Member>?
  let name: UnsafeMutablePointer<CChar>
  let order: Int64
  let isSoft: Bool
}

/// The links of a group within its file, as a list.
///
/// They are asked for in the file's own order and put in order here: the library's own sorted tables free memory they never
/// set when a damaged group ends early.
struct Members {
  var first: UnsafeMutablePointer<Member>?
  private var count = 0

  /// False when the group is damaged.
  mutating func collect(_ group: hid_t) -> Bool {
    H5Literate(
      group, H5_INDEX_NAME, H5_ITER_NATIVE, nil,
      { _, name, link, user in
        guard let name, let link, let members = user?.assumingMemoryBound(to: Members.self) else { return -1 }
        let type = link.pointee.type
        guard type == H5L_TYPE_HARD || type == H5L_TYPE_SOFT else { return 0 }
        guard let copy = copyString(name), let place = allocate(Member.self, 1) else { return -1 }
        place.initialize(
          to: Member(
            next: members.pointee.first, name: copy, order: link.pointee.corder, isSoft: type == H5L_TYPE_SOFT))
        members.pointee.first = place
        members.pointee.count += 1
        return 0
      }, &self) >= 0
  }

  /// Sorts by creation or by the bytes of the names. False when there is no memory for it.
  mutating func sort(byOrder: Bool) -> Bool {
    guard count > 1 else { return true }
    guard let table = allocate(UnsafeMutablePointer<Member>.self, count) else { return false }
    defer { release(table) }
    var member = first
    for i in 0..<count {
      guard let current = member else { return false }
      (table + i).initialize(to: current)
      member = current.pointee.next
    }
    var all = UnsafeMutableBufferPointer(start: table, count: count)
    if byOrder {
      all.sort { $0.pointee.order < $1.pointee.order }
    } else {
      all.sort { strcmp($0.pointee.name, $1.pointee.name) < 0 }
    }
    for i in 0..<count { all[i].pointee.next = i + 1 < count ? all[i + 1] : nil }
    first = all[0]
    return true
  }

  mutating func free() {
    while let current = first {
      first = current.pointee.next
      release(current.pointee.name)
      release(current)
    }
  }
}
