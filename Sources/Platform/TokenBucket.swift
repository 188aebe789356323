/// What comes in at a rate and may be taken at once as far as it has gathered: never more than one second
/// brings.
package struct TokenBucket: Sendable {
    /// Tokens that come in a second.
    package let perSecond: Double
    /// Tokens that there are; below zero where more was taken.
    package var tokens: Double

    /// A full bucket.
    package init(perSecond: Int) {
        self.perSecond = Double(perSecond)
        tokens = Double(perSecond)
    }

    /// Time goes by.
    package mutating func refill(seconds: Double) {
        tokens = min(perSecond, tokens + perSecond * seconds)
    }
}
