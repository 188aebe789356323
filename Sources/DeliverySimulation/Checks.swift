/// What is wrong in a world, in the order in which it was found.
struct Checks {
    private(set) var failures: [String] = []

    mutating func expect(_ condition: Bool, _ rule: @autoclosure () -> String) {
        if !condition, failures.count < 8 { failures.append(rule()) }
    }
}
