import DeliverySimulation
import Foundation

// simulate FIRST COUNT: runs the worlds of some seeds, and says after each slice how far it is.

let arguments = CommandLine.arguments.dropFirst().compactMap { UInt64($0) }
guard arguments.count == 2 else {
    FileHandle.standardError.write(Data("usage: simulate FIRST COUNT\n".utf8))
    exit(64)
}
let (first, end) = (arguments[0], arguments[0] + arguments[1])
let slice: UInt64 = 100_000
var next = first
while next < end {
    let last = min(end, next + slice)
    if let failure = Simulation.run(next..<last, threads: ProcessInfo.processInfo.processorCount) {
        print(failure)
        exit(1)
    }
    next = last
    print("\(next)")
    fflush(nil)
}
