internal import Delivery
internal import Records

/// What must have become of all records in the end.
extension World {
    mutating func checkFates() {
        // Where a record is, by its number: in objects, in lists of failed ones, aside.
        var places: [String: Int] = [:]
        for (key, content) in outside.objects where !key.hasSuffix("-error") {
            guard !key.hasSuffix("-manifest") else { continue }
            for line in content { places[line, default: 0] += 1 }
        }
        for (key, content) in outside.setAside where outside.objects[key] == nil {
            for line in content { places[line, default: 0] += 1 }
        }
        for record in pipes[0].log.records {
            guard case .record(let number) = record.content else { continue }
            let stored = places["\(number)", default: 0]
            let failed =
                places["failed \(number)", default: 0] + places["processing \(number)", default: 0]
            let received = outside.received[number, default: 0]
            checks.expect(
                stored <= 1,
                "record \(number) is in one object, not in \(outside.keys(of: "\(number)"))"
            )
            checks.expect(failed <= 1, "record \(number) has failed once")
            checks.expect(stored == 0 || received == 0, "record \(number) goes one way")
            checks.expect(
                failed == 0 || received == 0 || outside.doubtful.contains(number),
                "record \(number) is delivered or has failed"
            )
            let isMaybeDropped = Outside.isDropped(number) && transformed.contains(number)
            checks.expect(
                stored + failed + received > 0 || isMaybeDropped,
                "record \(number) is lost"
            )
        }
    }
}
