/// A page that is read by GET, without being asked who one is.
package struct StatusPage: Sendable {
    /// What it says now.
    package struct Content: Sendable {
        /// Whether all is well: 200, else 503.
        package var isGood: Bool
        /// The text.
        package var text: String

        /// A page's content.
        package init(isGood: Bool = true, _ text: String) {
            self.isGood = isGood
            self.text = text
        }
    }

    /// Its media type.
    package var contentType: String
    /// Makes it; called for each request.
    package var content: @Sendable () async -> Content

    /// A page.
    package init(contentType: String, content: @escaping @Sendable () async -> Content) {
        self.contentType = contentType
        self.content = content
    }
}
